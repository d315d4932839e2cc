"""What the redis store does in one step each: Lua, which the server runs whole.

Keys, all under a prefix; `owner`, `model` and `label` are percent-encoded, so that a colon ends them:

    <prefix>:schema                        the version of this layout
    <prefix>:record:<owner>:<id>           a record: 4 bytes, how long its head is; the head, in msgpack: revision,
                                           expires_at, model, label, names; the encoded record
    <prefix>:page:<owner>...               ids in their order, all scores 0: of all, of a model, of a label, of both
    <prefix>:names:<owner>                 a hash of names: the id, the fingerprint
    <prefix>:usage:<owner>                 a hash: records, bytes
    <prefix>:expiry                        <owner>:<id>, the score is expires_at

Each script's first argument is the prefix.
"""

_COMMON = """
local prefix = ARGV[1]

-- Its head, and how long the encoded record is.
local function opened(packed)
    local size = struct.unpack('>I4', packed)
    return cmsgpack.unpack(string.sub(packed, 5, 4 + size)), #packed - 4 - size
end

local function record_key(owner, id)
    return prefix .. ':record:' .. owner .. ':' .. id
end

local function pages(owner, record)
    local page, model, label = prefix .. ':page:' .. owner, record[3], record[4]
    local keys = {page, page .. ':model:' .. model}
    if label then
        keys[3] = page .. ':label:' .. label
        keys[4] = page .. ':both:' .. model .. ':' .. label
    end
    return keys
end

local function insert(owner, id, packed, record)
    redis.call('SET', record_key(owner, id), packed)
    for _, page in ipairs(pages(owner, record)) do
        redis.call('ZADD', page, 0, id)
    end
    redis.call('ZADD', prefix .. ':expiry', record[2], owner .. ':' .. id)
end

local function free(owner, id, names)
    local key = prefix .. ':names:' .. owner
    for _, name in ipairs(names) do
        local holder = redis.call('HGET', key, name)
        if holder and string.sub(holder, 1, 32) == id then  -- else a later record has it
            redis.call('HDEL', key, name)
        end
    end
end

local function used(owner)
    local usage = redis.call('HMGET', prefix .. ':usage:' .. owner, 'records', 'bytes')
    return tonumber(usage[1] or 0), tonumber(usage[2] or 0)
end

local function charge(owner, records, bytes)
    local key = prefix .. ':usage:' .. owner
    redis.call('HINCRBY', key, 'bytes', bytes)
    if redis.call('HINCRBY', key, 'records', records) == 0 then
        redis.call('DEL', key)
    end
end

local function over(owner, records, bytes, max_records, max_bytes)
    local has_records, has_bytes = used(owner)
    if has_records + records > math.max(has_records, max_records) then return 'adaptations' end
    if has_bytes + bytes > math.max(has_bytes, max_bytes) then return 'bytes' end
end

local function remove(owner, id)
    local key = record_key(owner, id)
    local packed = redis.call('GET', key)
    if not packed then return 0 end
    local record, bytes = opened(packed)
    redis.call('DEL', key)
    for _, page in ipairs(pages(owner, record)) do
        redis.call('ZREM', page, id)
    end
    redis.call('ZREM', prefix .. ':expiry', owner .. ':' .. id)
    free(owner, id, record[5])
    charge(owner, -1, -bytes)
    return 1
end

local function alive(owner, name, now)
    local holder = redis.call('HGET', prefix .. ':names:' .. owner, name)
    if not holder then return false end
    local packed = redis.call('GET', record_key(owner, string.sub(holder, 1, 32)))
    return packed and opened(packed)[2] > now and holder
end
"""

PUT = (
    _COMMON
    + """
local owner, id, packed, now = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
for index = 8, #ARGV, 2 do
    local holder = alive(owner, ARGV[index], now)
    if holder then return {'taken', ARGV[index], holder} end
end
if redis.call('EXISTS', record_key(owner, id)) == 1 then return {'known'} end
local record, bytes = opened(packed)
local unit = over(owner, 1, bytes, tonumber(ARGV[6]), tonumber(ARGV[7]))
if unit then return {'over', unit} end
insert(owner, id, packed, record)
for index = 8, #ARGV, 2 do
    redis.call('HSET', prefix .. ':names:' .. owner, ARGV[index], ARGV[index + 1])
end
charge(owner, 1, bytes)
return {'done'}
"""
)
"""owner, id, packed record, now, most records, most bytes, then each name and its holder."""

REPLACE = (
    _COMMON
    + """
local owner, id, packed = ARGV[2], ARGV[3], ARGV[4]
local old = redis.call('GET', record_key(owner, id))
if not old then return {'changed'} end
local old, old_bytes = opened(old)
if old[1] ~= tonumber(ARGV[5]) then return {'changed'} end
local new, new_bytes = opened(packed)
local grown = new_bytes - old_bytes
local unit = over(owner, 0, grown, tonumber(ARGV[6]), tonumber(ARGV[7]))
if unit then return {'over', unit} end
for _, page in ipairs(pages(owner, old)) do
    redis.call('ZREM', page, id)
end
insert(owner, id, packed, new)
local kept, dropped = {}, {}
for _, name in ipairs(new[5]) do kept[name] = true end
for _, name in ipairs(old[5]) do
    if not kept[name] then table.insert(dropped, name) end
end
free(owner, id, dropped)
charge(owner, 0, grown)
return {'done'}
"""
)
"""owner, id, packed record, expected revision, most records, most bytes."""

DELETE = _COMMON + "return remove(ARGV[2], ARGV[3])"
"""owner, id."""

SWEEP = (
    _COMMON
    + """
local expired = redis.call('ZRANGEBYSCORE', prefix .. ':expiry', '-inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(expired) do
    remove(string.match(member, '^(.*):(.*)$'))
end
return #expired
"""
)
"""before, limit."""

NAMED = _COMMON + "return alive(ARGV[2], ARGV[3], tonumber(ARGV[4]))"
"""owner, name, now."""

PAGE = (
    _COMMON
    + """
local owner, now, limit = ARGV[2], tonumber(ARGV[5]), tonumber(ARGV[6])
local found, last = {}, false
for _, id in ipairs(redis.call('ZREVRANGEBYLEX', ARGV[3], ARGV[4], '-', 'LIMIT', 0, ARGV[7])) do
    if #found == 2 * limit then return {last, found} end
    local packed = redis.call('GET', record_key(owner, id))
    if opened(packed)[2] > now then
        table.insert(found, id)
        table.insert(found, packed)
    end
    last = id
end
return {last, found}
"""
)
"""owner, key of the page, where to begin, now, limit, how many to look at; the last looked at, then ids and records."""

MIGRATE = """
local key, number = ARGV[1] .. ':schema', tonumber(ARGV[2])
if tonumber(redis.call('GET', key) or 0) == number - 1 then
    {script}
    redis.call('SET', key, number)
end
"""
"""number: that the schema has afterwards. Of several servers that start at once, one does it."""
