#include "mcp-gateway/shared/script.h"

/* clang-format off */
const char *const sb_scripts[SB_SHARED_ACTS_] = {
    /* entry; owner, milliseconds: whose it is */
    [SB_SHARED_CLAIM] =
        "local had = redis.call('GET', KEYS[1])\n"
        "if had then return had end\n"
        "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
        "return ARGV[1]\n",

    /* entry; owner */
    [SB_SHARED_RELEASE] =
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end\n"
        "return 0\n",

    /* entries; for each its rate and burst: "HAS BUCKET REMAINING RESET RETRY", of the bucket that
     * refuses, or else of the one that has least left. The same arithmetic as a worker's
     * (bucket.c), on the store's clock. */
    [SB_SHARED_TAKE] =
        "local time = redis.call('TIME')\n"
        "local now = time[1] * 1000000 + time[2]\n"
        "local lacks, least, nearest = {}, nil, 0\n"
        "local function tell(has, i, left, lack, retry)\n"
        "  return string.format('%d %d %.0f %.0f %.0f', has, i - 1, left, math.ceil(lack / 1000), math.ceil(retry / 1000))\n"
        "end\n"
        "for i = 1, #KEYS do\n"
        "  local token = math.max(1, math.floor(1000000 / ARGV[2 * i - 1]))\n"
        "  local most = token * ARGV[2 * i]\n"
        "  local lack = math.min(most, math.max(0, (tonumber(redis.call('GET', KEYS[i])) or 0) - now))\n"
        "  local left = math.floor((most - lack) / token)\n"
        "  if lack + token > most then return tell(0, i, left, lack, lack + token - most) end\n"
        "  lacks[i] = lack + token\n"
        "  if not least or left - 1 < least then least, nearest = left - 1, i end\n"
        "end\n"
        "for i = 1, #KEYS do\n"
        "  redis.call('SET', KEYS[i], string.format('%.0f', now + lacks[i]), 'PX', math.ceil(lacks[i] / 1000) + 1)\n"
        "end\n"
        "return tell(1, nearest, least, lacks[nearest], 0)\n",
};
/* clang-format on */
