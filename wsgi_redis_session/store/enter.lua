-- Put a session into the index of its user, before it is stored, or when it is seen.
--
-- KEYS[1] the user's key
-- ARGV[1] the digest of the session's id
-- ARGV[2] that of the session in whose place it comes, or its own; '' for a login
-- ARGV[3] what is known of it; the first 8 bytes are its device
-- ARGV[4] its TTL in milliseconds
-- ARGV[5] on how many devices a user may be logged in, 0 for no limit
-- ARGV[6] the device as which it counts there, '' for its own
--
-- Returns ARGV[1], so that no other reply is taken for this one, and
--   E number sessions  done; how many microseconds ago the user's sessions were revoked,
--                      0 where that is not for this session; the digests and devices
--                      of those that are too many now
--   R                  it was there before the user's sessions were revoked
local key, digest, before, known = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local ttl, limit = tonumber(ARGV[4]), tonumber(ARGV[5])
local device = string.sub(known, 1, 8)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local mark, revoked = redis.pcall('HGET', key, 'mark'), 0
if type(mark) == 'table' then
  -- What is no hash is no index.
  redis.call('DEL', key)
elseif mark and #mark >= 16 then
  local is_kept = string.sub(mark, 17) == device
  revoked = struct.unpack('>I8', mark, is_kept and 9 or 1)
end

local entered, age, counts_as = now, 0, ARGV[6] ~= '' and ARGV[6] or device
if before == '' then
  if revoked > 0 then age = math.max(1, now - revoked) end
else
  local found = redis.call('HGET', key, before)
  if found and #found >= 57 then
    entered, counts_as = struct.unpack('>I8', found), string.sub(found, 25, 32)
  elseif revoked > 0 then return digest .. 'R' end
end

local devices, first = {}, {}
-- Who has many sessions, and may, has some of them looked at.
local fields = {}
if digest ~= before then
  if limit > 0 and before == '' or redis.call('HLEN', key) <= 64 then
    fields = redis.call('HGETALL', key)
  else
    fields = redis.call('HRANDFIELD', key, 32, 'WITHVALUES')
  end
end
for i = 1, #fields, 2 do
  local field, value = fields[i], fields[i + 1]
  if #field == 24 and #value < 57 then
    redis.call('HDEL', key, field)
  elseif #field == 24 and field ~= digest then
    local began, seen, lasts = struct.unpack('>I8I8I8', value)
    local other = string.sub(value, 25, 32)
    if now > seen + 2000 * lasts then redis.call('HDEL', key, field)
    elseif other ~= counts_as and now <= seen + 1000 * lasts then
      if not devices[other] then
        devices[other] = {}
        table.insert(first, other)
      end
      local sessions = devices[other]
      sessions.began = math.max(sessions.began or 0, began)
      table.insert(sessions, field)
    end
  end
end

local times = struct.pack('>I8I8I8', entered, now, ttl)
redis.call('HSET', key, digest, times .. counts_as .. known)
redis.call('PEXPIRE', key, math.max(redis.call('PTTL', key), 2 * ttl))

local surplus = ''
if before == '' and limit > 0 and #first >= limit then
  table.sort(first, function(one, other)
    return devices[one].began < devices[other].began
  end)
  for i = 1, #first + 1 - limit do
    for _, session in ipairs(devices[first[i]]) do
      surplus = surplus .. session .. first[i]
    end
  end
end
return digest .. 'E' .. struct.pack('>I8', age) .. surplus
