// errno to Status: the one translation table of this folder.
#pragma once

#include "platform.h"

namespace pidproof {

const char* errno_name(int error);
Status os_status(const char* syscall, int error);

// Our own shortage (descriptors, memory): fails the call, is never an observation about a process.
bool is_own_failure(int error);

}  // namespace pidproof
