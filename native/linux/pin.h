#pragma once

#include "linux/procfs.h"
#include "platform.h"
#include "posix/scoped_fd.h"

namespace pidproof {

enum class PinKind : uint8_t {
  kPidfd,    // pidfd_open, 5.3
  kProcDir,  // a descriptor of /proc/<pid>: bound to the process as well, but it cannot be waited for
};

struct Pin {
  Target target;
  PinKind kind = PinKind::kPidfd;
  ScopedFd fd;
};

// Reads the start ticks (time-namespace-normalised) and the state of a pinned process. 0 or errno.
int read_pinned_stat(int proc, const Pin& pin, std::string* buffer, Stat* stat);

// Pins whoever has that number now; the caller verifies. 0 or errno (ESRCH gone, ENOENT or EINVAL:
// the number is a thread's, not a process's).
int open_any_pin(int proc, int32_t pid, Pin* pin);

// True while the pinned process has not been reaped, so that its number is still its own.
bool pin_holds_number(const Pin& pin);

}  // namespace pidproof
