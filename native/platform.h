// The contract between the addon and one operating system's folder.
//
// Plain structs and free functions: no Node-API, no OS header, no policy. Every function may be
// called from any thread, keeps no state between calls (the exit watcher excepted), never sleeps or
// retries over time, and answers with a Status instead of throwing. Memory is owned by the caller.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pidproof {

// `code` is "OK" or libuv's name of the error ("ESRCH", "EPERM", "EMFILE", "ENOTSUP", …).
struct Status {
  const char* code = "OK";
  const char* syscall = "";
  int64_t os_error = 0;
  bool ok() const { return code[0] == 'O' && code[1] == 'K' && code[2] == '\0'; }
  bool is(const char* other) const { return std::string(code) == other; }
};

// ---- the observer

struct Host {
  std::string boot;       // boot id; empty when it cannot be read
  std::string space;      // pid namespace (inode number, decimal); empty where there are none
  int32_t pid = 0;
  uint32_t uid = 0;       // real and effective user of this process
  uint32_t euid = 0;
};

// Who is looking. ENOTSUP when the process table that can be read is not the one pids are sent to
// (Linux: /proc of another pid namespace, or no procfs at all): then nothing may be read or signalled.
Status read_host(Host* host);

// ---- processes

enum Field : uint32_t {
  kName = 1u << 0,
  kExe = 1u << 1,
  kArgv = 1u << 2,
  kEnv = 1u << 3,
  kCwd = 1u << 4,
  kUid = 1u << 5,
  kUser = 1u << 6,
  kState = 1u << 7,
  kParent = 1u << 8,
  kGroup = 1u << 9,
  kStartedAt = 1u << 10,
  kCpu = 1u << 11,
  kMemory = 1u << 12,
  kTitle = 1u << 13,
  kUnique = 1u << 14,
  kNested = 1u << 15,  // not a public field: does it live in a pid namespace below ours?
};
constexpr size_t kFieldCount = 16;

// Why a field of a row has no value. kNone: there is nothing to read (a kernel thread has no
// executable, a zombie no arguments) — that is an answer, the other three are not.
enum class Missing : uint8_t { kPresent = 0, kDenied = 1, kGone = 2, kUnsupported = 3, kNone = 4 };

// Portable state letters: R running, S sleeping, D uninterruptible, T stopped, t traced, Z zombie,
// I idle kernel thread, X dead, ? anything else.
struct ProcessRow {
  int32_t pid = 0;
  int32_t ppid = 0;  // 0: none that can be seen from here
  int32_t pgid = 0;
  int32_t sid = 0;
  uint64_t start_token = 0;        // raw OS units, normalised so that all observers agree
  std::optional<uint64_t> unique;  // an id the kernel never reuses
  std::optional<uint64_t> parent_start_token;
  std::optional<uint64_t> parent_unique;
  double started_at_ms = 0;  // wall clock, for people
  uint32_t uid = 0;          // real
  uint32_t euid = 0;         // effective
  char state = '?';
  bool kernel_thread = false;
  bool exe_deleted = false;
  bool nested = false;
  double cpu_user_ms = 0;
  double cpu_system_ms = 0;
  uint64_t resident_bytes = 0;
  uint64_t virtual_bytes = 0;
  std::string name;
  std::string exe;
  std::string argv;   // every argument followed by NUL
  std::string env;    // every entry followed by NUL
  std::string cwd;
  std::string user;
  std::string title;  // the command line as one text
  std::array<Missing, kFieldCount> missing{};
};

// Every part that is present must hold; values inside one part are alternatives, except for
// arguments and environment, all of which must hold. Bytes are compared, never text.
struct ScanFilter {
  std::optional<std::vector<int32_t>> pids, ppids, pgids, sids;
  std::optional<std::vector<uint32_t>> uids;  // effective user
  std::vector<std::string> exe;               // basename (no '/'), or path suffix by whole components
  std::vector<std::string> argv_tokens;
  std::vector<std::vector<std::string>> argv_sequences;
  std::vector<std::string> env;  // "KEY" or "KEY=VALUE"
  std::optional<double> started_after_ms, started_before_ms;
  bool empty() const {
    return !pids && !ppids && !pgids && !sids && !uids && exe.empty() && argv_tokens.empty() &&
           argv_sequences.empty() && env.empty() && !started_after_ms && !started_before_ms;
  }
};

struct ScanResult {
  std::vector<ProcessRow> rows;    // ascending pid
  std::vector<int32_t> undecided;  // passed every part that could be read, but not all parts could
  bool partial = false;            // some processes are hidden from this observer (hidepid)
};

// One pass over the process table. Rows of a filtered scan (and of a scan with kUnique) are read
// under a pin: all their fields belong to one process and one program image.
// Codes: ENOTSUP (see read_host), EMFILE, ENFILE, ENOMEM.
Status scan_processes(uint32_t fields, const ScanFilter& filter, ScanResult* result);

// One process, read under a pin. Codes: ESRCH, EACCES (exists but hidden), and those of a scan.
Status read_process(int32_t pid, uint32_t fields, ProcessRow* row);

// ---- identity and signals

struct Target {
  int32_t pid = 0;
  uint64_t start_token = 0;
  std::optional<uint64_t> unique;
};

enum class Liveness : uint8_t { kRunning = 0, kZombie = 1, kGone = 2, kReplaced = 3, kUnknown = 4 };

// What has become of that process. Codes: ENOTSUP, EMFILE, ENFILE, ENOMEM.
Status verify_process(const Target& target, Liveness* liveness);

// A pinned process: an OS object bound to the process, not to its number.
struct Pin;

// Pins the process if it is still that one. On any liveness but kRunning and kZombie no pin is made.
Status open_pin(const Target& target, std::shared_ptr<Pin>* pin, Liveness* liveness);
Status pin_state(const Pin& pin, Liveness* liveness);

// Pins the process group that the process leads, or led: also after the leader has been reaped, as
// long as the group has members. The pin serves SignalScope::kGroup only, unless the leader lives.
// Codes: ESRCH (no such group any more), ENOTSUP (it cannot be told whether it is still that group).
Status open_group_pin(const Target& target, std::shared_ptr<Pin>* pin);

enum class SignalScope : uint8_t { kProcess = 0, kGroup = 1 };

struct SignalReport {
  Liveness liveness = Liveness::kUnknown;  // as seen right before the signal
  bool atomic = false;                     // the signal could not have reached anybody else
};

// Sends through the pin; signal 0 only asks. kGroup: the process group that the pinned process leads,
// also after the leader itself has been reaped.
// Codes: ESRCH (nobody left), EPERM, EINVAL, ENOTSUP (group signals through a pin do not exist here).
Status signal_pin(const Pin& pin, int signal, SignalScope scope, SignalReport* report);

// Waits until every pinned process has exited or the time is over; `exited` has one entry a pin.
// Blocks the calling thread: for exit handlers only.
Status wait_pins(const std::vector<std::shared_ptr<Pin>>& pins, int timeout_ms, std::vector<bool>* exited);

// ---- exits

struct ExitNotice {
  std::optional<int32_t> exit_code;
  std::optional<int32_t> signal;
};

// Waits for any number of exits on one thread. The callback runs on that thread, once per id.
class ExitWatcher {
 public:
  using Callback = std::function<void(uint64_t id, const ExitNotice& notice)>;
  virtual ~ExitWatcher() = default;  // ends the thread; no callback runs afterwards
  virtual Status add(uint64_t id, std::shared_ptr<Pin> pin) = 0;
  virtual void remove(uint64_t id) = 0;
};

Status create_exit_watcher(ExitWatcher::Callback callback, std::unique_ptr<ExitWatcher>* watcher);

// ---- sockets

enum Protocol : uint32_t { kTcp4 = 1, kTcp6 = 2, kUdp4 = 4, kUdp6 = 8, kUnix = 16 };

// Bits of SocketQuery::states and values of SocketRow::state.
enum class SocketState : uint8_t {
  kUnknown = 0,
  kEstablished = 1,
  kSynSent = 2,
  kSynReceived = 3,
  kFinWait1 = 4,
  kFinWait2 = 5,
  kTimeWait = 6,
  kClosed = 7,  // UDP: unconnected
  kCloseWait = 8,
  kLastAck = 9,
  kListen = 10,
  kClosing = 11,
  kBound = 12,  // has a local port but neither listens nor is connected
};

struct SocketQuery {
  uint32_t protocols = 0;
  uint32_t states = 0;  // 1 << SocketState; 0 = all
  std::optional<uint16_t> local_port;
};

struct SocketRow {
  Protocol protocol = kTcp4;
  SocketState state = SocketState::kUnknown;
  std::array<uint8_t, 16> local_address{}, remote_address{};  // IPv4 in the first four bytes
  uint16_t local_port = 0, remote_port = 0;
  uint32_t scope_id = 0;          // interface the socket is bound to, 0 = any
  std::optional<bool> v6_only;    // nothing: not known or not an IPv6 socket
  uint32_t uid = 0;               // who created the socket: a hint, never the holder's user
  uint64_t inode = 0;             // 0: no process can hold it (not accepted yet, TIME_WAIT)
  std::optional<uint64_t> cgroup; // where it was created: a hint
  std::string path;               // unix: path, or '\0' + abstract name
};

struct SocketList {
  std::vector<SocketRow> rows;
  bool bound_visible = false;  // bound-but-not-listening TCP sockets are among the rows
};

// The sockets of the observer's network namespace. Codes: ENOTSUP, EMFILE, ENFILE, ENOMEM.
Status list_sockets(const SocketQuery& query, SocketList* list);

struct SocketHint {  // a socket whose holders are wanted; uid and cgroup only order the search
  uint64_t inode = 0;
  uint32_t uid = 0;
  std::optional<uint64_t> cgroup;
};

struct SocketHolder {
  uint64_t inode = 0;
  Target process;
  int32_t ppid = 0;
};

struct HolderList {
  std::vector<SocketHolder> holders;
  uint32_t unseen = 0;  // processes whose descriptors could not be looked at
};

// Every process that has one of the sockets open, through whichever of its threads.
Status find_socket_holders(const std::vector<SocketHint>& sockets, HolderList* list);

// The inodes of the sockets that one process has open. Codes: ESRCH, EACCES.
Status list_process_sockets(int32_t pid, std::vector<uint64_t>* inodes);

// ---- what can be done here

struct Capability {
  const char* name = "";
  bool available = false;
  std::string detail;
};

Status read_capabilities(std::vector<Capability>* capabilities);

}  // namespace pidproof
