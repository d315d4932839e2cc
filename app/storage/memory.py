"""temporary"""

from app.service.store import Taken, Usage


class MemoryStore:
    def __init__(self, quota):
        self.r = {}
        self.n = {}

    async def __aenter__(self):
        return self

    async def __aexit__(self, *a):
        pass

    async def put(self, a, names, now):
        for n in names:
            t = self.n.get((a.owner, n.name))
            if t and self.r.get((a.owner, t.id)):
                return t
        for n in names:
            self.n[a.owner, n.name] = Taken(a.id, n)
        self.r[a.owner, a.id] = a

    async def named(self, owner, name, now):
        t = self.n.get((owner, name))
        return t if t and (owner, t.id) in self.r else None

    async def get(self, owner, id):
        return self.r.get((owner, id))

    async def replace(self, a, expected, erase):
        o = self.r.get((a.owner, a.id))
        if o is None or o.revision != expected:
            return False
        for n in set(o.names) - set(a.names):
            self.n.pop((a.owner, n), None)
        self.r[a.owner, a.id] = a
        return True

    async def delete(self, owner, id):
        return self.r.pop((owner, id), None) is not None

    async def page(self, owner, f, limit, before, now):
        return [
            a
            for a in sorted(self.r.values(), key=lambda a: a.id, reverse=True)
            if a.owner == owner
            and a.expires_at > now
            and (f.model in (None, a.model))
            and f.label in (None, a.label)
            and (before is None or a.id < before)
        ][:limit]

    async def sweep(self, before, limit):
        return 0

    async def usage(self, owner):
        return Usage(0, 0)
