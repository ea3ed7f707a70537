-- SPDX-License-Identifier: BSD-3-Clause
-- What the tests of the Lua module share.
local zmalloc = require "zmalloc"

local support = {}

-- Whether Lua has integers (from 5.3 on); otherwise its numbers are doubles, and exact below 2^53.
support.has_integers = math.ult ~= nil

-- What 5.1, 5.2 and LuaJIT lack of 5.4's library; there, what is whole and exact counts as an integer.
-- luacheck: push ignore 122
if not support.has_integers then
   math.maxinteger = 2 ^ 53 - 1
   math.mininteger = -math.maxinteger

   function math.type(value)
      if type(value) ~= "number" then
         return nil
      end
      return value == math.floor(value) and math.abs(value) <= math.maxinteger and "integer" or "float"
   end
end
table.unpack = table.unpack or unpack
table.pack = table.pack or function(...)
   return {n = select("#", ...), ...}
end
package.searchpath = package.searchpath or function(name, path)
   for pattern in path:gmatch "[^;]+" do
      local file = pattern:gsub("%?", name)
      if io.open(file) then
         return file
      end
   end
end
-- luacheck: pop

support.MiB = 0x100000

-- A size that is exact in every Lua, and that no allocator can serve.
support.huge = support.has_integers and 0x4000000000000000 or 2 ^ 52

-- The integer that a text says.
function support.integer(text)
   return math.tointeger and math.tointeger(tonumber(text)) or tonumber(text)
end

-- The text of a file, or nil and why not.
function support.read(path)
   local file, why = io.open(path)
   if not file then
      return nil, why
   end
   local text, problem = file:read "*a"
   file:close()
   return text, problem
end

-- What a command prints, without the newline at the end.
function support.output(command)
   local pipe = assert(io.popen(command))
   local text = pipe:read "*a"
   pipe:close()
   return (text:gsub("\n$", ""))
end

-- Returns once the process, which is told to stop, stands still.
function support.wait_until_stopped(pid)
   repeat
      local state = support.read(("/proc/%d/stat"):format(pid)):match "^.*%) (%a)"
   until state == "T"
end

-- Starts a command, has its process stand still and returns its number.
function support.start_stopped(command)
   local start = ("%s >/dev/null & pid=$!; sleep 0.2; kill -STOP $pid; echo $pid"):format(command)
   local pid = support.integer(support.output(start))
   support.wait_until_stopped(pid)
   return pid
end

-- How many files this process has open; no pipes, of which the question itself has some that come and go.
function support.open_files()
   return support.output(("ls -l /proc/%d/fd 2>&1 | grep -c -- '-> [^p]'"):format(zmalloc.get_proc_stat_ll(1)))
end

-- How many fields a table has.
function support.count(t)
   local count = 0
   for _ in pairs(t) do
      count = count + 1
   end
   return count
end

-- Runs Lua code in a process of its own, with more in its environment if it is to be; true if that ended well, and
-- what it printed.
function support.script(code, environment)
   local name = os.tmpname()
   local file = assert(io.open(name, "w"))
   file:write('local zmalloc = require "zmalloc"\n', code)
   file:close()
   local command = ("%s '%s' '%s' 2>&1; printf '\\n%%d' $?"):format(environment or "", os.getenv "ZMALLOC_LUA", name)
   local text, status = support.output(command):match "^(.*)\n(%d+)$"
   os.remove(name)
   return status == "0", text
end

-- The bytes in use once all that is garbage is gone.
function support.used()
   collectgarbage()
   collectgarbage()
   return zmalloc.used_memory()
end

-- Calls f, which must fail, and returns the message.
function support.message(f, ...)
   local ok, message = pcall(f, ...)
   assert(not ok, "no error")
   return message
end

-- f must fail with a message that names the call and the argument.
function support.refuses(call, argument, f, ...)
   local message = support.message(f, ...)
   local start = ("%s: argument '%s' "):format(call, argument)
   if not message:find(start, 1, true) then
      error(("%q does not say %q"):format(message, start), 2)
   end
end

return support
