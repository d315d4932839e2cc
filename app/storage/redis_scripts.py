"""The atomic operations of the redis store: Lua scripts, which the server runs without interruption.

Keys, all under a prefix; `owner`, `model` and `label` are percent-encoded, so that a colon ends them:

    <prefix>:schema                        the version of this layout
    <prefix>:record:<owner>:<id>           a record: the length of its head in 4 bytes; the head in msgpack (version,
                                           expires_at, model, label, names); the encoded record
    <prefix>:page:<owner>...               sorted sets of ids, all scores 0: all, by model, by label, by both
    <prefix>:names:<owner>                 a hash: name -> its holder, which is the id and then the fingerprint
    <prefix>:usage:<owner>                 a hash: records, bytes
    <prefix>:bundle:<digest>               a hash (`bundle_redis`): until, name, manifest, weights
    <prefix>:expiry                        a sorted set of <owner>:<id>, whose score is expires_at

Each script's first argument is the prefix.
"""

_COMMON = """
local prefix = ARGV[1]

-- The head of a packed record, and the length of the encoded record behind it.
local function unpack_head(packed)
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

local function usage_of(owner)
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

-- The unit of the quota that so much more would exceed, or nil.
local function exceeded(owner, records, bytes, max_records, max_bytes)
    local has_records, has_bytes = usage_of(owner)
    if has_records + records > math.max(has_records, max_records) then return 'adaptations' end
    if has_bytes + bytes > math.max(has_bytes, max_bytes) then return 'bytes' end
end

local function remove(owner, id)
    local key = record_key(owner, id)
    local packed = redis.call('GET', key)
    if not packed then return 0 end
    local record, bytes = unpack_head(packed)
    redis.call('DEL', key)
    for _, page in ipairs(pages(owner, record)) do
        redis.call('ZREM', page, id)
    end
    redis.call('ZREM', prefix .. ':expiry', owner .. ':' .. id)
    free(owner, id, record[5])
    charge(owner, -1, -bytes)
    return 1
end

-- The holder of a name, or false where there is none or it has expired.
local function name_holder(owner, name, now)
    local holder = redis.call('HGET', prefix .. ':names:' .. owner, name)
    if not holder then return false end
    local packed = redis.call('GET', record_key(owner, string.sub(holder, 1, 32)))
    return packed and unpack_head(packed)[2] > now and holder
end
"""

PUT = (
    _COMMON
    + """
local owner, id, packed, now = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
for index = 8, #ARGV, 2 do
    local holder = name_holder(owner, ARGV[index], now)
    if holder then return {'taken', ARGV[index], holder} end
end
if redis.call('EXISTS', record_key(owner, id)) == 1 then return {'exists'} end
local record, bytes = unpack_head(packed)
local unit = exceeded(owner, 1, bytes, tonumber(ARGV[6]), tonumber(ARGV[7]))
if unit then return {'over', unit} end
insert(owner, id, packed, record)
for index = 8, #ARGV, 2 do
    redis.call('HSET', prefix .. ':names:' .. owner, ARGV[index], ARGV[index + 1])
end
charge(owner, 1, bytes)
return {'done'}
"""
)
"""owner, id, packed record, now, max records, max bytes, then each name and its holder."""

REPLACE = (
    _COMMON
    + """
local owner, id, packed = ARGV[2], ARGV[3], ARGV[4]
local old = redis.call('GET', record_key(owner, id))
if not old then return {'changed'} end
local old, old_bytes = unpack_head(old)
if old[1] ~= tonumber(ARGV[5]) then return {'changed'} end
local new, new_bytes = unpack_head(packed)
local grown = new_bytes - old_bytes
local unit = exceeded(owner, 0, grown, tonumber(ARGV[6]), tonumber(ARGV[7]))
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
"""owner, id, packed record, expected version, max records, max bytes."""

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

NAME_HOLDER = _COMMON + "return name_holder(ARGV[2], ARGV[3], tonumber(ARGV[4]))"
"""owner, name, now."""

PAGE = (
    _COMMON
    + """
local owner, now, limit = ARGV[2], tonumber(ARGV[5]), tonumber(ARGV[6])
local records, last, size = {}, false, 0
for _, id in ipairs(redis.call('ZREVRANGEBYLEX', ARGV[3], ARGV[4], '-', 'LIMIT', 0, ARGV[7])) do
    if #records == 2 * limit or size > tonumber(ARGV[8]) then return {last, records} end
    local packed = redis.call('GET', record_key(owner, id))
    if unpack_head(packed)[2] > now then
        table.insert(records, id)
        table.insert(records, packed)
        size = size + #packed
    end
    last = id
end
return {last, records}
"""
)
"""owner, key of the page, first id, now, limit, ids to read, bytes -> the last id read, then ids and packed records."""

MIGRATE = """
local key, number = ARGV[1] .. ':schema', tonumber(ARGV[2])
if tonumber(redis.call('GET', key) or 0) == number - 1 then
    {script}
    redis.call('SET', key, number)
end
"""
"""number: the version of the schema afterwards. Of several servers that start at once, one migrates."""
