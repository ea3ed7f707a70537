-- SPDX-License-Identifier: BSD-3-Clause
-- For luacheck, which reads Lua of every version.
std = "max"
max_line_length = 120
files["tests/lua"] = {std = "max+busted"}
