-- SPDX-License-Identifier: BSD-3-Clause
-- What is said of processes, against other readings of /proc.
local support = require "support"
local zmalloc = require "zmalloc"

local page = tonumber(support.output "getconf PAGESIZE")
local near = 2 * support.MiB -- what a running interpreter may gain between two readings

-- The rollup's figures, and the sums of smaps where the rollup has none; and which those of the rollup are.
local function kernel_sums(pid)
   local all, rollup
   for _, file in ipairs {"smaps", "smaps_rollup"} do
      rollup = {}
      local text = support.read(("/proc/%d/%s"):format(pid, file))
      for name, number in ("\n" .. text):gmatch "\n([%w_]+): +(%d+) kB%f[\n]" do
         rollup[name] = (rollup[name] or 0) + support.integer(number) * 1024
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
      local pages = support.integer(support.read("/proc/self/statm"):match "^%d+ (%d+)")
      assert.is_true(math.abs(zmalloc.rss() - pages * page) < near)
      assert.is_true(math.abs(zmalloc.zmalloc_get_rss() - pages * page) < near)
   end)

   it("grows by what it touches", function()
      local before = zmalloc.rss()
      local block = zmalloc.zmalloc(32 * support.MiB)
      for i = 1, #block, page do
         block[i] = 1
      end
      assert.is_true(zmalloc.rss() - before > 30 * support.MiB)
      block:close()
   end)

   it("runs on a machine with memory", function()
      assert.equal(tonumber(support.output "getconf _PHYS_PAGES") * page, zmalloc.memory_size())
      assert.equal("integer", math.type(zmalloc.memory_size()))
   end)

   it("is meant where none is named", function()
      local own = zmalloc.get_proc_stat_ll(1)
      for _, pid in ipairs {-1, own} do
         assert.is_true(math.abs(zmalloc.rss() - zmalloc.rss(pid)) < near)
         assert.equal(zmalloc.mappings()[1].begin, zmalloc.mappings(pid)[1].begin)
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
      for _, i in ipairs {-1, 0, 2, 3, 100, 0x7fffffff} do
         assert.same({nil}, {zmalloc.get_proc_stat_ll(i)})
      end
   end)
end)

describe("another process", function()
   local pid

   -- It stands still, so that two readings must agree to the byte.
   setup(function()
      pid = support.start_stopped "sleep 1000"
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
      local names = {"private_dirty", "zmalloc_private_dirty", "zmalloc_get_private_dirty"}
      for _, name in ipairs(names) do
         local ask = zmalloc[name]
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

-- smaps, read line by line: a line is a mapping's first, or a field that is a size, or of no interest.
local function plain_reading(pid)
   local all = {}
   for line in support.read(("/proc/%d/smaps"):format(pid)):gmatch "[^\n]+" do
      local first, last, permissions, offset, path = line:match "^(%x+)%-(%x+) (%S%S%S%S) (%x+) %x+:%x+ %d+ *(.*)$"
      local name, number = line:match "^([%w_]+): +(%d+) kB$"
      if first then
         all[#all + 1] = {
            begin = tonumber(first, 16),
            ["end"] = tonumber(last, 16),
            offset = tonumber(offset, 16),
            permissions = permissions,
            path = path,
            fields = {},
         }
      elseif name then
         all[#all].fields[name] = support.integer(number) * 1024
      end
   end
   return all
end

local function are_alike(a, b)
   if type(a) ~= "table" or type(b) ~= "table" then
      return math.type(a) == math.type(b) and a == b
   end
   for key, value in pairs(a) do
      if not are_alike(value, b[key]) then
         return false
      end
   end
   for key in pairs(b) do
      if a[key] == nil then
         return false
      end
   end
   return true
end

describe("mappings", function()
   local pid

   setup(function()
      pid = support.start_stopped "sleep 1000"
   end)

   teardown(function()
      os.execute("kill -KILL " .. pid)
   end)

   it("are as the kernel writes them", function()
      local alike, mappings
      for _ = 1, 100 do
         mappings = zmalloc.mappings(pid)
         alike = are_alike(plain_reading(pid), mappings)
         if alike then
            break
         end
      end
      assert.is_true(alike)
      assert.is_true(#mappings > 10)
      local names = {}
      for _, mapping in ipairs(mappings) do
         names[mapping.path] = mapping
         assert.equal(mapping["end"] - mapping.begin, mapping.fields.Size)
         assert.equal(6, support.count(mapping))
      end
      assert.truthy(names["[stack]"])
   end)

   it("have addresses that are integers, however high", function()
      local last = zmalloc.mappings()[#zmalloc.mappings()]
      local text = support.read "/proc/self/maps"
      local expected = text:match "(%x+)%-%x+ [^\n]*\n$"
      if support.has_integers then
         assert.equal(expected, ("%x"):format(last.begin))
         assert.equal("integer", math.type(last.begin))
         assert.is_true(math.ult(last.begin, last["end"]))
      else
         assert.equal(tonumber(expected, 16), last.begin)
         assert.is_true(last.begin < last["end"])
      end
   end)

   -- 5.3 itself then runs out of memory between two calls, where no pcall is, and ends.
   if _VERSION ~= "Lua 5.3" then
      it("survive Lua's want of memory, and so does the process", function()
         local well, text = support.script [[
            local own = ("%d"):format(zmalloc.get_proc_stat_ll(1))
            local function files()
               local pipe = io.popen("ls -l /proc/" .. own .. "/fd 2>&1 | grep -c -- '-> [^p]'")
               local text = pipe:read "*a"
               pipe:close()
               return text
            end
            local count, open, hoard, before = #zmalloc.mappings(), files(), {}, zmalloc.rss()
            -- Under the limit no other program may have room to start; this one has.
            local unlimit = io.popen("read _; prlimit --pid " .. own .. " --as=unlimited:", "w")
            os.execute(("prlimit --pid %s --as=%d:"):format(own, zmalloc.get_proc_stat_ll(23) + 0x100000))
            local held = 0
            local function add()
               hoard[held + 1] = ("x"):rep(500) .. held
               held = held + 1
            end
            while pcall(add) do end
            local failed, told = 0, 0
            for i = held, 1, -1 do
               hoard[i] = false -- nil might make the table anew
               if i % 4 == 0 and held - i > 20 then -- a little is needed for any call at all
                  pcall(collectgarbage)
                  local ok, problem = pcall(zmalloc.mappings)
                  told = told + (ok and 1 or 0)
                  failed = failed + (ok and 0 or 1)
                  assert(ok or problem == "not enough memory" or problem:find "Cannot allocate memory", problem)
               end
            end
            collectgarbage()
            unlimit:close()
            assert(#zmalloc.mappings() >= count)
            assert(files() == open, "files are left open")
            assert(zmalloc.rss() - before < 0x400000, "memory is lost")
            print(failed > 0, told > 0) -- how often depends on the gaps in a Lua's heap
         ]]
         assert.is_true(well, text)
         assert.equal("true\ttrue\n", text)
      end)
   end
end)

describe("no answer", function()
   it("is an error where the field is none of the kernel's", function()
      local meant = {["private dirty"] = ": did you mean 'Private_Dirty'?"}
      for _, name in ipairs {"rss", "Rss::", " Rss", "Rss:\n"} do
         meant[name] = ": did you mean 'Rss'?"
      end
      for _, name in ipairs {"Nonsense", "Rs", "Rsss", "rss", "Rss::", " Rss", "Rss:\n", "private dirty"} do
         assert.truthy(support.message(zmalloc.smaps, name):find(
            ("smaps: no field '%s'%s (errno 2)"):format(name, meant[name] or ""), 1, true))
         assert.equal(0, zmalloc.zmalloc_get_smap_bytes_by_field(name))
      end
   end)

   it("is an error where there is no process", function()
      local ended = support.integer(support.output "sh -c 'echo $$'")
      for _, pid in ipairs {ended, 0x10000000000, math.maxinteger} do
         for call, ask in pairs {
            rss = zmalloc.rss,
            private_dirty = zmalloc.private_dirty,
            smaps = function(number) return zmalloc.smaps(nil, number) end,
            mappings = zmalloc.mappings,
         } do
            local message = support.message(ask, pid):gsub("^.*:%d+: ", "")
            assert.equal(call .. ": No such process (errno 3)", message)
         end
         assert.equal(0, zmalloc.zmalloc_get_private_dirty(pid))
      end
   end)

   it("is an error where a process is another user's", function()
      local code = [[
         local zmalloc = require "zmalloc"
         assert(zmalloc.rss(1) > 0)
         for _, ask in ipairs {zmalloc.private_dirty, zmalloc.mappings, zmalloc.zmalloc_smaps} do
            print((select(2, pcall(ask, 1)):match ": (.*)"))
         end
      ]]
      -- Who may read this process may not be able to read where the module lies, and so has a copy.
      local folder = support.output "mktemp -d"
      local module = os.getenv "LUA_CPATH":gsub("%?%.so;;$", "zmalloc.so")
      os.execute(("cp '%s' '%s' && chmod a+rx '%s'"):format(module, folder, folder))
      local as_nobody = support.output "id -u" == "0" and "setpriv --reuid 65534 " or ""
      local command = ("cd / && LUA_CPATH='%s/?.so' %s'%s' -e '%s' 2>&1"):format(
         folder, as_nobody, os.getenv "ZMALLOC_LUA", code)
      local said = support.output(command)
      os.execute(("rm -r '%s'"):format(folder))
      assert.equal(("Permission denied (errno 13)\n"):rep(3), said .. "\n")
   end)

   it("is put down to the script's own line", function()
      assert.truthy(support.message(function() zmalloc.smaps("") end):find "^.*process_spec.lua:%d+: ")
      assert.truthy(support.message(function() zmalloc.smaps(nil, 0) end):find "^.*process_spec.lua:%d+: ")
      assert.truthy(support.message(function() zmalloc.mappings(0) end):find "^.*process_spec.lua:%d+: ")
      assert.truthy(support.message(function() zmalloc.disable_thp "" end):find "^.*process_spec.lua:%d+: ")
      assert.truthy(support.message(function() zmalloc.background_thread "" end):find "^.*process_spec.lua:%d+: ")
   end)
end)
