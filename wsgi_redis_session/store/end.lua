-- End a session.
--
-- KEYS[1] its key
-- ARGV[1] the digest of its session id
-- ARGV[2] the tombstone that stands there from now on
-- ARGV[3] its TTL in milliseconds
-- ARGV[4] the same for a session that was renewed
-- ARGV[5] 1 if only this session id is to end, and not what may come of it elsewhere; the
--         tombstone stands there even where there is none, so that a session that is
--         about to be stored there is not
-- ARGV[6] 1 if this is asked again after a reply was lost
--
-- Returns ARGV[1], so that no other reply is taken for this one, and
--   E        ended          T value  it moved or ended before: its tombstone
--   G        there is none
-- What is no string is no session, but it ends as well.
local head = redis.pcall('GETRANGE', KEYS[1], 0, 25)
if head == '' then
  if ARGV[5] == '1' then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4]) end
  return ARGV[1] .. 'G'
end
if type(head) == 'string' and string.byte(head) == 0 then
  -- A write in any case, because WAIT takes what writes nothing for replicated; and one
  -- that a server takes whose memory is full, which replaces something only after that.
  local left = redis.call('PTTL', KEYS[1])
  -- Where there was none before, ours would stand longer.
  local is_ours = ARGV[6] == '1' and head == ARGV[2] and left <= tonumber(ARGV[3])
  if left > 0 then redis.call('PEXPIRE', KEYS[1], left) end
  if string.sub(head, 2, 2) == 'c' and ARGV[5] ~= '1' then
    -- What it had held ends with it.
    redis.call('SET', KEYS[1], '\0e' .. string.sub(head, 3), 'PX', ARGV[4])
  end
  return ARGV[1] .. (is_ours and 'E' or 'T' .. head)
end
-- Deleted first, for the same reason.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return ARGV[1] .. 'E'
