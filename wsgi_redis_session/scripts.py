"""What Redis does by itself, in Lua: saving, retiring and deleting a session.

Each script works on one key. Its reply begins with bytes that belong to this call
alone, so that the reply to another one is never taken for it; then comes a letter, then
what belongs to that. How values are laid out stands in the store.
"""

from __future__ import annotations

import hashlib

_ENTRIES = """
local function text(value, at)
  local tag = string.byte(value, at)
  local size, head
  if tag >= 0xa0 and tag <= 0xbf then size, head = tag - 0xa0, 1
  elseif tag == 0xd9 or tag == 0xc4 then
    size, head = struct.unpack('>B', value, at + 1), 2
  elseif tag == 0xda or tag == 0xc5 then
    size, head = struct.unpack('>H', value, at + 1), 3
  else size, head = struct.unpack('>I4', value, at + 1), 5 end
  local stop = at + head + size
  return string.sub(value, at + head, stop - 1), stop
end

local function entries(value)
  local tag = string.byte(value, 27)
  local count, at
  if tag == 0xde then count, at = struct.unpack('>H', value, 28), 30
  elseif tag == 0xdf then count, at = struct.unpack('>I4', value, 28), 32
  else count, at = tag - 0x80, 28 end
  local names, raw, packed = {}, {}, {}
  for i = 1, count do
    local start, name = at, nil
    name, at = text(value, at)
    packed[name], at = text(value, at)
    raw[name] = string.sub(value, start, at - 1)
    names[i] = name
  end
  return names, raw, packed
end
"""

# KEYS[1] the session's key
# ARGV[1] the revision that we loaded
# ARGV[2] our value, which is stored as it is where nobody else has saved meanwhile
# ARGV[3] its TTL in ms
# ARGV[4] what it takes to merge: the TTL of a session that ends with the browser, of a
#         permanent one, of an empty one; 1 if the stored value must be bound to the sid
#         that ours is bound to; 1 if whether the session is permanent is ours to say;
#         how many names we have changed, and removed
# ARGV[5] and so on: these names; then, where conflicts matter, the packed value that
#         we loaded for each
# Returns our revision, then S saved as it is | M merged: what is stored now, after 1
#         if the session had been empty, else 0 | C conflict: what is stored | G gone |
#         N its successor's id | B bound to another sid
_SAVE = (
    """
local key, ours = KEYS[1], ARGV[2]
local reply = string.sub(ours, 3, 10)
local head = redis.call('GETRANGE', key, 0, 25)
local kind, revision = string.sub(head, 1, 1), string.sub(head, 3, 10)
if kind == '\\1' and revision == ARGV[1] then
  redis.call('SET', key, ours, 'PX', ARGV[3])
  return reply .. 'S'
end

if kind == '\\0' and string.sub(head, 2, 2) == '1' then
  return reply .. 'N' .. string.sub(head, 3, 26)
end
if kind ~= '\\1' then return reply .. 'G' end
local transient, permanent, empty, is_bound, is_ours_to_say, changed, removed =
  struct.unpack('>I8I8I8BBI4I4', ARGV[4])
if is_bound == 1 and string.sub(head, 11, 18) ~= string.sub(ours, 11, 18) then
  return reply .. 'B'
end
local stored = redis.call('GET', key)
if revision == reply then return reply .. 'M0' .. stored end
"""
    + _ENTRIES
    + """
local names, raw, packed = entries(stored)
local _, our_raw = entries(ours)
local bases = 4 + changed + removed
local is_ours = {}
for i = 5, bases do
  local name = ARGV[i]
  is_ours[name] = true
  local base = ARGV[i + changed + removed]
  if base and (packed[name] or '') ~= base then return reply .. 'C' .. stored end
end

local merged, placed = {}, {}
for _, name in ipairs(names) do
  if not is_ours[name] then table.insert(merged, raw[name])
  elseif our_raw[name] then
    table.insert(merged, our_raw[name])
    placed[name] = true
  end
end
for i = 5, 4 + changed do
  if not placed[ARGV[i]] then table.insert(merged, our_raw[ARGV[i]]) end
end

local size
if #merged < 16 then size = string.char(0x80 + #merged)
elseif #merged < 65536 then size = '\\222' .. struct.pack('>H', #merged)
else size = '\\223' .. struct.pack('>I4', #merged) end
local flags = string.sub(is_ours_to_say == 1 and ours or stored, 2, 2)
local value = '\\1' .. flags .. reply .. string.sub(stored, 11, 26) .. size
  .. table.concat(merged)
local ttl = string.byte(flags) % 2 == 1 and permanent or transient
if #merged == 0 then ttl = empty end
redis.call('SET', key, value, 'PX', ttl)
return reply .. 'M' .. (#names == 0 and '1' or '0') .. value
"""
)

# KEYS[1] the old session's key
# ARGV[1] id of the new session      ARGV[2] the revision that we loaded
# ARGV[3] the binding to the old sid, or '' where only the id is known
# ARGV[4] how long the trace is kept, in ms
# ARGV[5] '1': requests that are still running may save into the new session, else '0'
# Returns ARGV[1], then S done: what others have saved meanwhile, if they have |
#         G gone | N the id of another successor | B bound to another sid
_RETIRE = """
local key, reply = KEYS[1], ARGV[1]
local stored = redis.call('GET', key)
if not stored then return reply .. 'G' end
local kind = string.sub(stored, 1, 1)
if kind == '\\0' then
  local successor = string.sub(stored, 3, 26)
  if successor == ARGV[1] then return reply .. 'S' .. string.sub(stored, 27) end
  if string.sub(stored, 2, 2) ~= '1' then return reply .. 'G' end
  return reply .. 'N' .. successor
end
if kind ~= '\\1' then return reply .. 'G' end
if ARGV[3] ~= '' and string.sub(stored, 11, 18) ~= ARGV[3] then
  return reply .. 'B'
end
if string.sub(stored, 3, 10) == ARGV[2] then stored = '' end
redis.call('SET', key, '\\0' .. ARGV[5] .. ARGV[1] .. stored, 'PX', ARGV[4])
return reply .. 'S' .. stored
"""

# KEYS[1] the session's key          ARGV[1] its id
# Returns ARGV[1], then D deleted, or it was not there | N its successor's id
_DELETE = """
local head = redis.call('GETRANGE', KEYS[1], 0, 25)
if string.sub(head, 1, 1) == '\\0' then
  return ARGV[1] .. 'N' .. string.sub(head, 3, 26)
end
redis.call('DEL', KEYS[1])
return ARGV[1] .. 'D'
"""


class Script:
    """A Lua script, and the digest by which the server knows it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


SAVE = Script(_SAVE)
RETIRE = Script(_RETIRE)
DELETE = Script(_DELETE)
