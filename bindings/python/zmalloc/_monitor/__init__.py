# SPDX-License-Identifier: BSD-3-Clause
"""Reports over time: a Monitor, its series of samples, and how they are shown."""
