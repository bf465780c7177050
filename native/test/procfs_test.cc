#include "linux/procfs.h"

#include <unistd.h>

#include <algorithm>

#include "check.h"

using pidproof::Stat;
using pidproof::StatusIds;

namespace {

// A line as Linux 6.18 prints it (52 fields).
const std::string kLine =
    "4242 (sleep) S 4200 4242 4100 34816 4242 4194304 91 7 1 2 30 40 5 6 20 0 1 0 987654 2990080 221 "
    "18446744073709551615 94500000000000 94500000019000 140720000000000 0 0 0 0 0 0 1 0 0 17 1 0 0 0 0 0 "
    "94500000030000 94500000031000 94500001000000 140720000000100 140720000000110 140720000000110 140720000000200 9\n";

std::string with_comm(const std::string& comm) { return "4242 (" + comm + ")" + kLine.substr(kLine.find(") ") + 1); }

std::string with_field(int number, const std::string& value) {
  // The fields after the name, which the line here has without blanks.
  std::string line = kLine;
  size_t at = 0;
  for (int field = 1; field < number; ++field) at = line.find(' ', at) + 1;
  return line.replace(at, line.find_first_of(" \n", at) - at, value);
}

Stat parsed(std::string_view line) {
  Stat stat;
  CHECK(parse_stat(line, &stat));
  return stat;
}

}  // namespace

TEST("procfs", "a stat line gives every field from its place") {
  const Stat stat = parsed(kLine);
  CHECK_EQ(stat.pid, 4242);
  CHECK_EQ(stat.comm, "sleep");
  CHECK_EQ(stat.state, 'S');
  CHECK_EQ(stat.ppid, 4200);
  CHECK_EQ(stat.pgid, 4242);
  CHECK_EQ(stat.sid, 4100);
  CHECK_EQ(stat.flags, 4194304u);
  CHECK_EQ(stat.utime, 30u);
  CHECK_EQ(stat.stime, 40u);
  CHECK_EQ(stat.threads, 1);
  CHECK_EQ(stat.start_ticks, 987654u);
  CHECK_EQ(stat.vsize, 2990080u);
  CHECK_EQ(stat.rss_pages, 221);
  CHECK_EQ(stat.start_code, 94500000000000u);
  CHECK_EQ(stat.arg_start, 140720000000100u);
  CHECK_EQ(stat.env_start, 140720000000110u);
  CHECK_EQ(stat.exit_code, 9);
}

TEST("procfs", "names that look like the rest of a line change nothing") {
  for (const char* comm : {"", ")", "(", "a) R 1\n(", ") Z 1 1 1", "a b c", "(sd-pam)", "x) S 1 2 3 ("}) {
    const std::string line = with_comm(comm);
    const Stat stat = parsed(line);
    CHECK_EQ(stat.comm, comm);
    CHECK_EQ(stat.ppid, 4200);
    CHECK_EQ(stat.start_ticks, 987654u);
  }
}

TEST("procfs", "negative fields and the largest values are read") {
  CHECK_EQ(parsed(with_field(8, "-1")).start_ticks, 987654u);
  CHECK_EQ(parsed(with_field(16, "-5")).threads, 1);
  CHECK_EQ(parsed(with_field(24, "-3")).rss_pages, -3);
  CHECK_EQ(parsed(with_field(22, "18446744073709551615")).start_ticks, ~uint64_t{0});
}

TEST("procfs", "a line that ends earlier, as under qemu-user, leaves the rest 0") {
  std::string line = kLine.substr(0, kLine.find(" 18446744073709551615"));
  const Stat stat = parsed(line);
  CHECK_EQ(stat.start_ticks, 987654u);
  CHECK_EQ(stat.rss_pages, 221);
  CHECK_EQ(stat.start_code, 0u);
  CHECK_EQ(stat.env_start, 0u);
}

TEST("procfs", "a line without a start time is no stat line") {
  const size_t start = kLine.find("987654");
  for (size_t length = 0; length < start; ++length) {
    Stat stat;
    CHECK(!parse_stat(pidproof_test::ExactBytes(std::string_view(kLine).substr(0, length)).view(), &stat));
  }
  Stat stat;
  CHECK(!parse_stat("", &stat));
  CHECK(!parse_stat("4242 sleep S 1 2 3", &stat));
  CHECK(!parse_stat("x (sleep) S 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 5", &stat));
  CHECK(!parse_stat(") (", &stat));
  CHECK(!parse_stat("1 ()", &stat));
}

TEST("procfs", "kernel threads are known by their flag") {
  CHECK(parsed(with_field(9, "2129984")).kernel_thread());
  CHECK(!parsed(kLine).kernel_thread());
}

TEST("procfs", "a leader that has exited before its threads is not a zombie") {
  std::string line = with_field(3, "Z");
  CHECK(parsed(line).zombie());
  CHECK(!parsed(line).leader_exited());
  line.replace(line.find(" 20 0 1 0 "), 10, " 20 0 3 0 ");
  CHECK(!parsed(line).zombie());
  CHECK(parsed(line).leader_exited());
  CHECK(parsed(with_field(3, "X")).zombie());
  CHECK(!parsed(with_field(3, "t")).zombie());
}

TEST("procfs", "no damage to a stat line makes the parser read beyond it") {
  pidproof_test::for_all_damages(kLine, [](std::string_view text) {
    Stat stat;
    if (parse_stat(text, &stat)) CHECK(stat.comm.size() < text.size());
  });
}

TEST("procfs", "a status file gives users, namespace depth and thread group") {
  const std::string text =
      "Name:\tsleep\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4242\nNgid:\t0\nPid:\t4242\nPPid:\t1\n"
      "TracerPid:\t0\nUid:\t1000\t1001\t1002\t1003\nGid:\t100\t100\t100\t100\nNStgid:\t4242\nNSpid:\t4242\n";
  StatusIds ids;
  CHECK(parse_status(text, &ids));
  CHECK_EQ(ids.ruid, 1000u);
  CHECK_EQ(ids.euid, 1001u);
  CHECK_EQ(ids.tgid, 4242);
  CHECK(!ids.nested);
  std::string nested = text;
  nested.replace(nested.find("NSpid:\t4242"), 11, "NSpid:\t4242\t7\t1");
  CHECK(parse_status(nested, &ids));
  CHECK(ids.nested);
}

TEST("procfs", "a name cannot pass for another line of a status file") {
  StatusIds ids;
  // The kernel escapes newlines in names: they stay in their line.
  CHECK(parse_status("Name:\tUid:\\nUid:\t7\t7\t7\t7\nTgid:\t5\nUid:\t1\t2\t3\t4\n", &ids));
  CHECK_EQ(ids.ruid, 1u);
  CHECK_EQ(ids.euid, 2u);
}

TEST("procfs", "a status file without users, or with too few, is none") {
  StatusIds ids;
  CHECK(!parse_status("", &ids));
  CHECK(!parse_status("Name:\tx\nTgid:\t5\n", &ids));
  CHECK(!parse_status("Uid:\t1\t2\t3", &ids));
  CHECK(!parse_status("Uid:\n", &ids));
}

TEST("procfs", "no damage to a status file makes the parser read beyond it") {
  pidproof_test::for_all_damages("Name:\tx\nTgid:\t5\nUid:\t1\t2\t3\t4\nNSpid:\t5\t6", [](std::string_view text) {
    StatusIds ids;
    parse_status(text, &ids);
  });
}

TEST("procfs", "only links of sockets have a socket's inode") {
  CHECK_EQ(pidproof::socket_inode("socket:[123]"), 123u);
  CHECK_EQ(pidproof::socket_inode("socket:[18446744073709551615]"), ~uint64_t{0});
  for (const char* link : {"", "s", "socket:", "socket:[", "socket:[]", "socket:[1", "socket:[12x]", "socket:[-1]",
                           "pipe:[123]", "/socket:[123]", "anon_inode:[eventpoll]", "socket:[1] (deleted)"}) {
    CHECK_EQ(pidproof::socket_inode(pidproof_test::ExactBytes(link).view()), 0u);
  }
}

TEST("procfs", "paths are the number, a slash and the file") {
  char path[64];
  pidproof::proc_path(path, 1, "fd");
  CHECK_EQ(std::string(path), "1/fd");
  pidproof::proc_path(path, 2147483647, "stat");
  CHECK_EQ(std::string(path), "2147483647/stat");
}

TEST("procfs", "this process finds itself among the numbers of /proc, and reads its own line") {
  pidproof::ScopedFd proc;
  CHECK(pidproof::open_proc(&proc).ok());
  std::vector<int32_t> pids;
  CHECK(pidproof::list_pids(proc.get(), &pids).ok());
  CHECK(std::find(pids.begin(), pids.end(), getpid()) != pids.end());
  CHECK(std::is_sorted(pids.begin(), pids.end()));
  std::string text;
  CHECK_EQ(pidproof::read_once(proc.get(), "self/stat", &text), 0);
  CHECK_EQ(parsed(text).pid, getpid());
  CHECK_EQ(parsed(text).ppid, getppid());
}
