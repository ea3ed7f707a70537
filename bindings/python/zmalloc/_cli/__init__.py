# SPDX-License-Identifier: BSD-3-Clause
"""The command line. Its parser, and what is made of that, need nothing else of the package."""
