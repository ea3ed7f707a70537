-- SPDX-License-Identifier: BSD-3-Clause
-- What is said of processes, against other readings of /proc.
local support = require "support"
local zmalloc = require "zmalloc"

local page = tonumber(support.output "getconf PAGESIZE")
local near = 2 << 20 -- what a running interpreter may gain between two readings

-- The rollup's figures, and the sums of smaps where the rollup has none; and which those of the rollup are.
local function kernel_sums(pid)
   local all, rollup
   for _, file in ipairs {"smaps", "smaps_rollup"} do
      rollup = {}
      local text = support.read(("/proc/%d/%s"):format(pid, file))
      for name, number in ("\n" .. text):gmatch "\n([%w_]+): +(%d+) kB%f[\n]" do
         rollup[name] = (rollup[name] or 0) + math.tointeger(number) * 1024
      end
      all = all or rollup
   end
   for name, sum in pairs(rollup) do
      all[name] = sum
   end
   return all, rollup
end

local function same(a, b)
   for name, sum in pairs(a) do
      if b[name] ~= sum then
         return false
      end
   end
   return next(a) ~= nil
end

-- Others map the same files, so what is shared changes as they come and go: one reading of many must agree.
local function agrees(ask, expected)
   for _ = 1, 100 do
      local sums = expected()
      local answer = ask(sums)
      if same(sums, answer) and same(answer, sums) then
         return true
      end
   end
   return false
end

describe("this process", function()
   it("has a resident set", function()
      local pages = math.tointeger(support.read("/proc/self/statm"):match "^%d+ (%d+)")
      assert.is_true(math.abs(zmalloc.rss() - pages * page) < near)
      assert.is_true(math.abs(zmalloc.zmalloc_get_rss() - pages * page) < near)
   end)

   it("grows by what it touches", function()
      local before = zmalloc.rss()
      local block <close> = zmalloc.zmalloc(32 << 20)
      for i = 1, #block, page do
         block[i] = 1
      end
      assert.is_true(zmalloc.rss() - before > 30 << 20)
   end)

   it("runs on a machine with memory", function()
      assert.equal(tonumber(support.output "getconf _PHYS_PAGES") * page, zmalloc.memory_size())
      assert.equal("integer", math.type(zmalloc.memory_size()))
   end)

   it("is meant where none is named", function()
      local own = zmalloc.get_proc_stat_ll(1)
      for _, pid in ipairs {-1, own} do
         assert.is_true(math.abs(zmalloc.smaps("Rss") - zmalloc.smaps("Rss", pid)) < near)
         assert.is_true(math.abs(zmalloc.smaps().Rss - zmalloc.smaps(nil, pid).Rss) < near)
         assert.is_true(math.abs(zmalloc.private_dirty() - zmalloc.private_dirty(pid)) < near)
      end
      assert.is_true(math.abs(zmalloc.private_dirty(nil) - zmalloc.zmalloc_get_private_dirty()) < near)
   end)

   it("has numbers in its stat", function()
      local text = support.read "/proc/self/stat"
      local fields = {}
      for field in text:match "^.*%) (.*)$":gmatch "%S+" do
         fields[#fields + 1] = field
      end
      for _, i in ipairs {4, 5, 6, 7, 9, 18, 19, 20, 22, 26, 27, 28, 38} do -- those that don't change
         assert.equal(fields[i - 2], ("%d"):format(zmalloc.get_proc_stat_ll(i)), i)
         assert.equal("integer", math.type(zmalloc.get_proc_stat_ll(i)))
      end
      assert.equal(text:match "^%d+", tostring(zmalloc.get_proc_stat_ll(1)))
      for _, i in ipairs {-1, 0, 2, 3, 100, (1 << 31) - 1} do
         assert.same({nil}, {zmalloc.get_proc_stat_ll(i)})
      end
   end)
end)

describe("another process", function()
   local pid

   -- It stands still, so that two readings must agree to the byte.
   setup(function()
      pid = math.tointeger(support.output "sleep 1000 >/dev/null & pid=$!; sleep 0.2; kill -STOP $pid; echo $pid")
      repeat
         local state = support.read(("/proc/%d/stat"):format(pid)):match "^.*%) (%a)"
      until state == "T"
   end)

   teardown(function()
      os.execute("kill -KILL " .. pid)
   end)

   it("has every field that the kernel gives", function()
      local asking = {zmalloc.smaps, zmalloc.zmalloc_smap_bytes_by_field, zmalloc.zmalloc_get_smap_bytes_by_field}
      for _, ask in ipairs(asking) do
         for _, colon in ipairs {"", ":"} do
            assert.is_true(agrees(function(names)
               local sums = {}
               for name in pairs(names) do
                  sums[name] = ask(name .. colon, pid)
               end
               return sums
            end, function() return (kernel_sums(pid)) end))
         end
      end
   end)

   it("has private memory", function()
      for _, ask in ipairs {zmalloc.private_dirty, zmalloc.zmalloc_private_dirty, zmalloc.zmalloc_get_private_dirty} do
         assert.is_true(ask(pid) > 0)
         assert.is_true(agrees(
            function() return {ask(pid)} end,
            function() return {kernel_sums(pid).Private_Dirty} end))
      end
   end)

   it("tells all at once", function()
      for _, number in ipairs {pid, pid + 0.0} do
         assert.is_true(agrees(
            function() return zmalloc.smaps(nil, number) end,
            function() return (select(2, kernel_sums(pid))) end))
      end
   end)
end)

describe("no answer", function()
   it("is an error where the field is none of the kernel's", function()
      for _, name in ipairs {"Nonsense", "Rs", "Rsss", "rss", "Rss::", " Rss", "Rss:\n"} do
         assert.truthy(support.message(zmalloc.smaps, name):find(
            ("zmalloc_smap_bytes_by_field: no field '%s'"):format(name), 1, true))
         assert.equal(0, zmalloc.zmalloc_get_smap_bytes_by_field(name))
      end
   end)

   it("is an error where there is no process", function()
      local ended = math.tointeger(support.output "sh -c 'echo $$'")
      for _, pid in ipairs {ended, 1 << 40, math.maxinteger} do
         assert.truthy(support.message(zmalloc.private_dirty, pid):find "zmalloc_private_dirty: No such process")
         assert.truthy(support.message(zmalloc.smaps, "Rss", pid):find "No such process")
         assert.truthy(support.message(zmalloc.smaps, nil, pid):find "No such process")
         assert.equal(0, zmalloc.zmalloc_get_private_dirty(pid))
      end
   end)

   it("is put down to the script's own line", function()
      assert.truthy(support.message(function() zmalloc.smaps("") end):find "^.*process_spec.lua:%d+: ")
      assert.truthy(support.message(function() zmalloc.smaps(nil, 0) end):find "^.*process_spec.lua:%d+: ")
   end)
end)
