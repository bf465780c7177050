// Several threads over one list of processes, each with descriptors of its own.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <thread>
#include <vector>

#include "linux/procfs.h"
#include "posix/parallel.h"

namespace pidproof {

// Gives the calling thread a descriptor table of its own, without what the process has open. Threads that
// share one take turns at every open and close: two of them then scan 1,000 processes in 3.9 instead of
// 2.9 ms. Only for a thread that was started for this and ends afterwards.
inline void leave_descriptors() {
  constexpr long kCloseRange = 436;  // 5.9, the same number everywhere; before, the table stays shared
  constexpr unsigned kUnshare = 1u << 1;
  // A signal handler that runs here would look for its descriptors in vain, as libuv's does for its pipe.
  sigset_t all;
  sigfillset(&all);
  if (pthread_sigmask(SIG_SETMASK, &all, nullptr) == 0) syscall(kCloseRange, STDERR_FILENO + 1u, ~0u, kUnshare);
}

// As run_parallel, with body(proc, begin, end, part): `proc` is a /proc for that thread alone.
template <typename Body>
Status scan_parallel(int proc, size_t count, size_t parts, const Body& body) {
  const std::thread::id caller = std::this_thread::get_id();
  std::vector<Status> statuses(parts);
  const bool ran = run_parallel(count, parts, [&](size_t begin, size_t end, size_t part) {
    if (std::this_thread::get_id() == caller) return body(proc, begin, end, part);
    leave_descriptors();
    ScopedFd own;
    statuses[part] = open_proc(&own);
    if (statuses[part].ok()) body(own.get(), begin, end, part);
  });
  if (!ran) return {"ENOMEM", "scan", 0};
  for (const Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return {};
}

}  // namespace pidproof
