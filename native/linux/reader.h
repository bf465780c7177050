// Reads the fields of one process, choosing the source that costs least and telling why one is missing.
#pragma once

#include <string>

#include "linux/pin.h"
#include "linux/procfs.h"
#include "platform.h"

namespace pidproof {

// What every read of one call shares: found out once.
struct ReadContext {
  int proc = -1;
  double boot_wall_ms = 0;  // wall-clock time of tick 0, for display and for started-before filters
  double ms_per_tick = 10;
  uint64_t page_size = 4096;

  double started_at_ms(uint64_t ticks) const { return boot_wall_ms + static_cast<double>(ticks) * ms_per_tick; }
};

ReadContext make_read_context(int proc);

inline Missing& missing_of(ProcessRow* row, Field field) {
  return row->missing[static_cast<size_t>(__builtin_ctz(field))];
}

class ProcessReader {
 public:
  explicit ProcessReader(const ReadContext& context) : context_(context) {}

  // All return 0 or errno. The stat's comm points into this reader until the next call of read_stat.
  int read_stat(int32_t pid, Stat* stat);

  // cmdline or environ. Missing: denied, gone, or none (no address space). A `stat` that was never read
  // (threads == 0) is taken for that of a plain live process: anything unexpected answers gone.
  Missing read_area(const Stat& stat, const char* file, std::string* text);
  // exe or cwd.
  Missing read_path(const Stat& stat, const char* file, std::string* text);

  // Fills *row from `stat` and whatever other sources `fields` need.
  void fill(const Stat& stat, uint32_t fields, ProcessRow* row);

  // Start token (and unique id, when wanted) of the row's parent, as long as it is older than the child.
  void fill_parent(bool unique, ProcessRow* row);

  // The first of our own shortages (EMFILE, ENOMEM, …) met so far: the call has to fail then. 0: none.
  int own_failure() const { return own_failure_; }

 private:
  int note(int error);
  Missing why_missing(int error, const Stat& stat);
  int32_t live_thread(int32_t pid);
  void area_path(char* path, const Stat& stat, const char* file);  // path holds 64 bytes
  void fill_ids(const Stat& stat, uint32_t fields, ProcessRow* row);
  void fill_exe(const Stat& stat, ProcessRow* row);
  void fill_command(const Stat& stat, uint32_t fields, ProcessRow* row);

  const ReadContext& context_;
  std::string stat_buffer_;
  std::string buffer_;
  int own_failure_ = 0;
};

}  // namespace pidproof
