-- Store what one request made of a session, or merge it into what others have stored.
--
-- KEYS[1] the session's key
-- ARGV[1] the revision that the request has loaded
-- ARGV[2] its value, stored as it is where nobody else has saved meanwhile
-- ARGV[3] the TTL of that, in milliseconds
-- ARGV[4] what it takes to merge, packed:
--         the TTLs of a session that ends with the browser, of a permanent one, of an
--         empty one; how many bytes and how many names a session may have, 0 for no
--         limit; 1 if it is for this request to say whether the session is permanent;
--         how many names this request has changed, and removed; 1 if this is asked
--         again after a reply was lost
-- ARGV[5] and so on: these names; then, where conflicts matter, the packed value that
--         the request had loaded for each
--
-- Returns the revision of our value, so that no other reply is taken for this one, and
--   S         saved as it is
--   M0 value  merged, and what is stored now; M1 where the session had been empty
--   C value   others have changed one of the names, or sealed it with another data
--             key; what is stored
--   U         asked again, and nobody can tell whether it was saved the first time
--   B number  it would be too large, in bytes       N number  it would have more names
--   T value   it moved or ended: its tombstone      G         it is gone
--   X         what is stored is no session of this session id
local byte, sub = string.byte, string.sub
local key, ours = KEYS[1], ARGV[2]
local revision = sub(ours, 3, 10)
local head = redis.call('GETRANGE', key, 0, 9)
if byte(head) == 1 and sub(head, 3) == ARGV[1] then
  redis.call('SET', key, ours, 'PX', ARGV[3])
  return revision .. 'S'
end

local stored = redis.call('GET', key)
if not stored then return revision .. 'G' end
if byte(stored) == 0 then return revision .. 'T' .. stored end
if byte(stored) ~= 1 or sub(stored, 35, 42) ~= sub(ours, 35, 42) then
  return revision .. 'X'
end

local transient, permanent, empty, max_bytes, max_names, sets_kind, changed, removed,
  is_again = struct.unpack('>I8I8I8I8I8BI4I4B', ARGV[4])
local knows_base = false
for at = 3, 27, 8 do
  local writer = sub(stored, at, at + 7)
  if writer == revision then
    -- A write, because WAIT takes what writes nothing for replicated.
    local left = redis.call('PTTL', key)
    if left > 0 then redis.call('PEXPIRE', key, left) end
    return revision .. 'M0' .. stored
  end
  if writer == ARGV[1] then knows_base = true end
end

-- Where the map of a value begins, and the id of the data key that it is sealed with.
local function map_of(value)
  if byte(value, 2) % 4 < 2 then return 59, '' end
  return 107, sub(value, 59, 66)
end

-- How many entries a MessagePack map has, and where the first one begins.
local function entries(value, at)
  local tag, a, b, c, d = byte(value, at, at + 4)
  if tag == 0xde then return a * 256 + b, at + 3 end
  if tag == 0xdf then return ((a * 256 + b) * 256 + c) * 256 + d, at + 5 end
  return tag - 0x80, at + 1
end

-- Where the text of a MessagePack string or binary begins, and where the next one does.
local function text(value, at)
  local tag, a, b, c, d = byte(value, at, at + 4)
  if tag <= 0xbf then return at + 1, at + 1 + tag - 0xa0 end
  if tag == 0xd9 or tag == 0xc4 then return at + 2, at + 2 + a end
  if tag == 0xda or tag == 0xc5 then return at + 3, at + 3 + a * 256 + b end
  return at + 5, at + 5 + ((a * 256 + b) * 256 + c) * 256 + d
end

local touched = changed + removed
local detects = #ARGV > 4 + touched
if detects and is_again == 1 and not knows_base then return revision .. 'U' end
local map, key_id = map_of(stored)
local our_map, our_key_id = map_of(ours)
if key_id ~= our_key_id then return revision .. 'C' .. stored end

-- The entries that this request stores, by name; false for a name that it removes.
local entry = {}
for i = 5, 4 + touched do entry[ARGV[i]] = false end
local left, at = entries(ours, our_map)
for _ = 1, changed > 0 and left or 0 do
  local from, value = text(ours, at)
  local name = sub(ours, from, value - 1)
  local _, after = text(ours, value)
  if entry[name] == false then entry[name] = sub(ours, at, after - 1) end
  at = after
end

-- Theirs in its order, with ours in the place of what both have.
local parts, theirs, placed, number = {}, {}, {}, nil
number, at = entries(stored, map)
local count, start = number, at
for _ = 1, number do
  local from, value = text(stored, at)
  local name = sub(stored, from, value - 1)
  local packed, after = text(stored, value)
  local our = entry[name]
  if our ~= nil then
    if detects then theirs[name] = sub(stored, packed, after - 1) end
    parts[#parts + 1] = sub(stored, start, at - 1)
    parts[#parts + 1] = our or ''
    placed[name] = true
    if not our then count = count - 1 end
    start = after
  end
  at = after
end
parts[#parts + 1] = sub(stored, start)
for i = 5, 4 + touched do
  local name = ARGV[i]
  if detects and (theirs[name] or '') ~= ARGV[i + touched] then
    return revision .. 'C' .. stored
  end
  if entry[name] and not placed[name] then
    parts[#parts + 1] = entry[name]
    count = count + 1
  end
end

local size
if count < 16 then size = string.char(0x80 + count)
elseif count < 65536 then size = '\222' .. struct.pack('>H', count)
else size = '\223' .. struct.pack('>I4', count) end
local flags = sub(sets_kind == 1 and ours or stored, 2, 2)
local value = '\1' .. flags .. revision .. sub(stored, 3, 26) .. sub(stored, 35, map - 1)
  .. size .. table.concat(parts)
-- Names and values alone, for which the limit is: without the header, and without what
-- it takes at most to store each, or to seal it.
local bytes = #value - map - 4 - count * (key_id == '' and 10 or 56)
if changed > 0 and max_bytes > 0 and bytes > max_bytes then
  return revision .. 'B' .. bytes
end
if changed > 0 and max_names > 0 and count > max_names then
  return revision .. 'N' .. count
end

local ttl = byte(flags) % 2 == 1 and permanent or transient
if count == 0 then ttl = empty end
redis.call('SET', key, value, 'PX', ttl)
return revision .. 'M' .. (number == 0 and '1' or '0') .. value
