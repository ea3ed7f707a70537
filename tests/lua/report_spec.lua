-- SPDX-License-Identifier: BSD-3-Clause
-- The report, whose parts add up; giving memory back; limits; and when the allocator and the kernel do what.
local support = require "support"
local zmalloc = require "zmalloc"

local library = os.getenv "ZMALLOC_ALLOCATOR"
local near = 2 * support.MiB -- what a running interpreter may gain between two readings
local walked = {"pss", "uss", "private_dirty", "swap", "huge_pages", "private_hugetlb", "shared_hugetlb"}

local function touched(count, size)
   local blocks = {}
   for i = 1, count do
      blocks[i] = zmalloc.Block(size)
      blocks[i]:set(1, ("x"):rep(size))
   end
   return blocks
end

local function close_all(blocks)
   for _, block in ipairs(blocks) do
      block:close()
   end
end

-- What the levels add makes up RSS, and what is unknown adds nothing.
local function check_sums(report)
   local sum = report.used
   for _, name in ipairs {"allocator_overhead", "allocator_frag", "allocator_rss", "rss_overhead"} do
      sum = sum + (report[name .. "_bytes"] or 0)
   end
   assert.equal(report.rss, sum)
   assert.equal(report.active ~= nil, report.allocator_frag_bytes ~= nil)
   assert.equal(report.resident ~= nil, report.allocator_rss_bytes ~= nil)
   assert.equal(report.rss / report.used, report.mem_fragmentation_ratio)
end

describe("the report", function()
   it("adds up", function()
      local blocks = touched(100, 5000)
      for _, walk in ipairs {0, 1, false, true} do
         local report = zmalloc.report(walk)
         check_sums(report)
         for name, figure in pairs(report) do
            assert.equal(name:find "ratio" and "float" or "integer", math.type(figure), name)
         end
      end
      close_all(blocks)
   end)

   it("has the header's fields, and no other", function()
      local header = support.read(os.getenv "ZMALLOC_SOURCE" .. "/include/zmalloc.h")
      local names = {}
      for name in header:match "\nstruct zmalloc_report (%b{})":gsub("/%*.-%*/", ""):gmatch "([%w_]+);" do
         names[name] = true
      end
      assert.is_true(names.size)
      names.size = nil -- for C alone
      assert.equal(23, support.count(names))
      for name in pairs(zmalloc.report(true)) do
         assert.is_true(names[name], name)
      end
   end)

   it("tells more with the walk", function()
      local short, long = zmalloc.report(), zmalloc.report(true)
      for _, name in ipairs(walked) do
         assert.is_nil(short[name])
         assert.equal("integer", math.type(long[name]))
      end
      assert.is_true(0 < long.private_dirty and long.private_dirty <= long.uss)
      assert.is_true(long.uss <= long.pss and long.pss <= long.rss)
      assert.is_true(math.abs(long.pss - zmalloc.smaps "Pss") < near)
      assert.is_true(math.abs(short.rss - zmalloc.rss()) < near)
   end)
end)

-- A walked report of a process that stands still, and whose PSS is as asked right before: its part of what it shares
-- changes when another process comes or goes. After many tries as it is.
local function report_at_rest(pid, ask)
   local report
   for _ = 1, 100 do
      local pss = ask()
      report = zmalloc.report {pid = pid, walk = true}
      if report.pss == pss then
         break
      end
   end
   return report
end

describe("the report of another process", function()
   local pid = support.start_stopped "sleep 100"

   teardown(function()
      os.execute(("kill -KILL %d"):format(pid))
   end)

   it("has what the kernel knows of it", function()
      assert.same({rss = zmalloc.rss(pid)}, zmalloc.report {pid = pid})
      local sums
      local report = report_at_rest(pid, function()
         sums = zmalloc.smaps(nil, pid)
         return sums.Pss
      end)
      assert.same({
         rss = sums.Rss, pss = sums.Pss, uss = sums.Private_Clean + sums.Private_Dirty,
         private_dirty = sums.Private_Dirty, swap = sums.Swap, huge_pages = sums.AnonHugePages,
         private_hugetlb = sums.Private_Hugetlb, shared_hugetlb = sums.Shared_Hugetlb,
      }, report)
   end)

   it("is this one's if that is its number, or none", function()
      for _, own in ipairs {{}, {walk = false}, {pid = -1}, {pid = zmalloc.get_proc_stat_ll(1)}} do
         assert.equal(zmalloc.used_memory(), zmalloc.report(own).used)
      end
      assert.is_nil(zmalloc.report {walk = false}.pss)
      assert.truthy(zmalloc.report {walk = true}.pss)
   end)

   it("is an error that names the call where there is none", function()
      for _, walk in ipairs {false, true} do
         local message = support.message(zmalloc.report, {pid = 2 ^ 22 + 1, walk = walk})
         assert.equal("report: No such process (errno 3)", message)
      end
      assert.equal("report: argument 'pid' must be a number, not string",
                   support.message(zmalloc.report, {pid = "1"}))
      assert.equal("report: argument 'walk' must be a boolean, not number",
                   support.message(zmalloc.report, {walk = 1}))
      assert.equal("report: argument 'options' has a field 'tree', which means nothing",
                   support.message(zmalloc.report, {tree = true}))
      local _, message = pcall(function() zmalloc.report {pid = true} end)
      assert.truthy(message:find "^[^:]*report_spec.lua:%d+: report: argument 'pid'")
   end)
end)

describe("the report of a process that publishes", function()
   local pid, used, pipe

   setup(function()
      local code = [[
         local zmalloc = require "zmalloc"
         local kept = zmalloc.Block(3000000)
         zmalloc.publish()
         print(zmalloc.get_proc_stat_ll(1), zmalloc.used_memory())
         io.stdout:flush()
         os.execute("kill -STOP " .. ("%d"):format(zmalloc.get_proc_stat_ll(1)))
         kept:close()
      ]]
      pipe = io.popen(("exec '%s' -e '%s'"):format(os.getenv "ZMALLOC_LUA", code))
      pid, used = pipe:read("*n", "*n")
      support.wait_until_stopped(pid)
   end)

   teardown(function()
      os.execute(("kill -KILL %d"):format(pid))
      pipe:close()
   end)

   it("has what it publishes, and what the kernel knows", function()
      local published = zmalloc.published(pid)
      for _, walk in ipairs {false, true} do
         local pss
         local report = walk and report_at_rest(pid, function()
            pss = zmalloc.smaps("Pss", pid)
            return pss
         end) or zmalloc.report {pid = pid}
         assert.equal(used, report.used)
         for _, name in ipairs {"allocated", "active", "resident", "mapped", "retained", "metadata", "muzzy",
                                "allocator_frag_smallbins_bytes"} do
            assert.equal(published[name], report[name], name)
         end
         assert.equal(zmalloc.rss(pid), report.rss)
         assert.equal(pss, report.pss)
         assert.is_nil(report.peak or report.limit or report.allocator)
      end
   end)

   it("adds up", function()
      local report = zmalloc.report {pid = pid}
      check_sums(report)
   end)
end)

describe("the allocator", function()
   it("gives back, and says how much", function()
      local blocks = touched(3000, 20000)
      local full = zmalloc.rss()
      close_all(blocks)
      local before = zmalloc.rss()
      local returned = zmalloc.purge()
      assert.equal("integer", math.type(returned))
      assert.is_true(math.abs(before - zmalloc.rss() - returned) < near)
      assert.is_true(full - zmalloc.rss() > 40 * support.MiB)
   end)

   if library == "jemalloc" then
      it("has times", function()
         for _, times in ipairs {{0, 0}, {-1, -1}, {5000, 300}, {10000, 0}} do
            assert.equal(0, select("#", zmalloc.set_decay(table.unpack(times))))
            assert.same(times, {zmalloc.decay()})
         end
         for _, times in ipairs {{-2, 0}, {0, -2}, {math.maxinteger, 0}} do
            assert.truthy(support.message(zmalloc.set_decay, table.unpack(times)):find "^set_decay: Invalid")
         end
         assert.same({10000, 0}, {zmalloc.decay()})
      end)

      it("has a thread", function()
         assert.is_false(zmalloc.background_thread())
         for _, on in ipairs {true, 1} do
            assert.equal(0, select("#", zmalloc.background_thread(on)))
            assert.is_true(zmalloc.background_thread())
            zmalloc.background_thread(false)
            assert.is_false(zmalloc.background_thread())
         end
      end)
   else
      it("says what it has not", function()
         for call, ask in pairs {
            background_thread = zmalloc.background_thread,
            decay = zmalloc.decay,
            set_decay = zmalloc.set_decay,
         } do
            assert.equal(1, (support.message(ask, 0, 0):find(call .. ": Operation not supported", 1, true)))
         end
      end)
   end
end)

describe("huge pages", function()
   it("can be forbidden", function()
      local setting = support.read "/sys/kernel/mm/transparent_hugepage/enabled":match "%[(%w+)%]"
      assert.equal(setting, zmalloc.thp())
      zmalloc.disable_thp()
      assert.equal("never", zmalloc.thp())
      assert.equal(0, zmalloc.zmalloc_thp())
      zmalloc.disable_thp(false)
      assert.equal(setting, zmalloc.thp())
   end)
end)

describe("limits", function()
   it("are each on their own, and the least of them", function()
      local limits = zmalloc.memory_limits()
      assert.equal(zmalloc.memory_size(), limits.physical)
      local least = math.huge
      for name, limit in pairs(limits) do
         least = math.min(least, limit)
         assert.is_true(limit == math.huge or math.type(limit) == "integer", name)
      end
      assert.equal(least, zmalloc.memory_limit())
   end)

   it("are those of this process", function()
      local code = [[local z = require "zmalloc"; print(z.memory_limits().address_space, z.memory_limit())]]
      local command = ("ulimit -v 1000000; '%s' -e '%s'"):format(os.getenv "ZMALLOC_LUA", code)
      local least = math.min(1024000000, zmalloc.memory_limit())
      assert.equal("1024000000\t" .. least, support.output(command))
      assert.equal(zmalloc.ZMALLOC_NO_LIMIT, math.huge)
   end)
end)

describe("questions", function()
   it("leave nothing behind, asked again and again", function()
      local questions = {
         {zmalloc.rss, 2000}, {zmalloc.private_dirty, 500}, {zmalloc.smaps, 500}, {zmalloc.mappings, 300},
         {zmalloc.report, 2000}, {function() zmalloc.report(true) end, 500}, {zmalloc.memory_limits, 1000},
         {zmalloc.thp, 1000}, {zmalloc.purge, 300}, {function() pcall(zmalloc.mappings, 0x10000000000) end, 1000},
         {function() pcall(zmalloc.smaps, "Nope") end, 200}, {function() pcall(zmalloc.mappings, {}) end, 1000},
      }
      for _, question in ipairs(questions) do
         local ask, times = table.unpack(question)
         for _ = 1, times / 10 do
            ask()
         end
         support.used()
         local open, stack, grown = support.open_files(), collectgarbage "count", math.huge
         -- What is lost is lost each time; a heap, or what LuaJIT compiles, may grow once.
         for _ = 1, 3 do
            local resident = zmalloc.rss()
            for _ = 1, times do
               ask()
            end
            support.used()
            grown = zmalloc.rss() - resident
            if grown < support.MiB then
               break
            end
         end
         assert.equal(open, support.open_files())
         assert.is_true(grown < support.MiB)
         assert.is_true(collectgarbage "count" - stack < 100)
      end
   end)
end)
