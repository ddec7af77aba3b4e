// SPDX-License-Identifier: Apache-2.0

import Glibc

func getpidOfThisProgram() -> Int { Int(getpid()) }
