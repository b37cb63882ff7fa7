-- Sends a random cookie of a file with each request, and reports as client.py does.
local cookies = {}

function init(args)
  for line in io.lines(args[1]) do cookies[#cookies + 1] = line end
end

function request()
  return wrk.format('GET', '/', { Cookie = cookies[math.random(#cookies)] })
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    '{"requests_per_second": %f, "latencies": {"p50": %f, "p99": %f, "p99.9": %f}, '
      .. '"errors": %d}\n',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, latency:percentile(99.9) / 1000,
    failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
