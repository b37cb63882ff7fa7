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
--   C value   others have changed one of the names; what is stored
--   U         asked again, and nobody can tell whether it was saved the first time
--   B number  it would be too large, in bytes       N number  it would have more names
--   T value   it moved or ended: its tombstone      G         it is gone
--   X         what is stored is no session of this session id
local key, ours = KEYS[1], ARGV[2]
local revision = string.sub(ours, 3, 10)
local head = redis.call('GETRANGE', key, 0, 9)
if string.byte(head) == 1 and string.sub(head, 3) == ARGV[1] then
  redis.call('SET', key, ours, 'PX', ARGV[3])
  return revision .. 'S'
end

local stored = redis.call('GET', key)
if not stored then return revision .. 'G' end
if string.byte(stored) == 0 then return revision .. 'T' .. stored end
if string.byte(stored) ~= 1 or string.sub(stored, 35, 42) ~= string.sub(ours, 35, 42) then
  return revision .. 'X'
end

local transient, permanent, empty, max_bytes, max_names, sets_kind, changed, removed,
  is_again = struct.unpack('>I8I8I8I8I8BI4I4B', ARGV[4])
local knows_base = false
for at = 3, 27, 8 do
  local writer = string.sub(stored, at, at + 7)
  if writer == revision then return revision .. 'M0' .. stored end
  if writer == ARGV[1] then knows_base = true end
end

-- A MessagePack string or binary: its text, and where the next one begins.
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

-- The map of a value: its names in their order, its entries as they are stored, and
-- its packed values, both by name.
local function entries(value)
  local tag = string.byte(value, 59)
  local count, at
  if tag == 0xde then count, at = struct.unpack('>H', value, 60), 62
  elseif tag == 0xdf then count, at = struct.unpack('>I4', value, 60), 64
  else count, at = tag - 0x80, 60 end
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

local names, raw, packed = entries(stored)
local _, our_raw = entries(ours)
local touched = changed + removed
local detects = #ARGV > 4 + touched
if detects and is_again == 1 and not knows_base then return revision .. 'U' end
local is_ours = {}
for i = 5, 4 + touched do
  local name = ARGV[i]
  is_ours[name] = true
  if detects and (packed[name] or '') ~= ARGV[i + touched] then
    return revision .. 'C' .. stored
  end
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
elseif #merged < 65536 then size = '\222' .. struct.pack('>H', #merged)
else size = '\223' .. struct.pack('>I4', #merged) end
local flags = string.sub(sets_kind == 1 and ours or stored, 2, 2)
local value = '\1' .. flags .. revision .. string.sub(stored, 3, 26)
  .. string.sub(stored, 35, 58) .. size .. table.concat(merged)
if changed > 0 and max_bytes > 0 and #value > max_bytes then
  return revision .. 'B' .. #value
end
if changed > 0 and max_names > 0 and #merged > max_names then
  return revision .. 'N' .. #merged
end

local ttl = string.byte(flags) % 2 == 1 and permanent or transient
if #merged == 0 then ttl = empty end
redis.call('SET', key, value, 'PX', ttl)
return revision .. 'M' .. (#names == 0 and '1' or '0') .. value
