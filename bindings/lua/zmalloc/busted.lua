-- SPDX-License-Identifier: BSD-3-Clause
-- For busted, and any other test framework in which an error is a failure: tests that must not keep memory.
--
--    local no_growth = require "zmalloc.busted"
--
--    it("forgets", no_growth(function() … end))
--    it("keeps a page", no_growth(4096, function() … end))
--
-- The test fails if it ends with more bytes in Blocks than it began with, or with more than limit bytes beyond that.
-- It counts what zmalloc.track {all_threads = true} counts: all Blocks, except garbage.
local zmalloc = require "zmalloc"

local function collect()
   collectgarbage()
   collectgarbage() -- what finalisers release
end

local function check(limit, test)
   if type(limit) ~= "number" or limit < 0 or limit ~= math.floor(limit) then
      error("no_growth: argument 'limit' must be a number of bytes", 3)
   elseif type(test) ~= "function" then
      error(("no_growth: argument 'test' must be a function, not %s"):format(type(test)), 3)
   end
end

return function(limit, test)
   if test == nil then
      limit, test = 0, limit
   end
   check(limit, test)
   return function(...)
      collect()
      local t = zmalloc.track {all_threads = true}
      test(...)
      collect()
      t.stop()
      if t.kept > limit then
         error(("the test kept %d bytes in zmalloc Blocks, of %d that it may: %d allocated, %d freed"):format(
            t.kept, limit, t.allocated, t.freed), 2)
      end
   end
end
