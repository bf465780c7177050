#include "linux/diag.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "linux/syscalls.h"

namespace pidproof {

namespace {

constexpr int kRepeats = 4;
constexpr int32_t kMostErrno = 4095;
constexpr size_t kReceiveSize = 32768;  // the kernel fills no more into one datagram of a dump

// Newer than the headers that may be compiled against.
constexpr uint16_t kAttributeV6Only = 11;
constexpr uint16_t kAttributeCgroup = 21;
constexpr uint16_t kAttributeUnixUid = 7;
constexpr uint32_t kShowUnixUid = 0x40;  // 5.3, ignored before

constexpr uint8_t kKernelClose = 7;
constexpr uint8_t kKernelNewSynReceived = 12;
constexpr uint8_t kKernelBoundInactive = 13;
constexpr uint32_t kSharedStates = 0xffe;  // 1 to 11 have the same numbers here and in the kernel

bool is_tcp(Protocol protocol) { return (protocol & kTcpBoth) != 0; }

uint32_t kernel_states(uint32_t states) {
  if (states == 0) return ~0u;
  const bool bound = (states & 1u << static_cast<unsigned>(SocketState::kBound)) != 0;
  return (states & kSharedStates) | (bound ? 1u << kKernelBoundInactive : 0);
}

SocketState portable_state(uint8_t state, Protocol protocol) {
  // A bound TCP socket is shown as closed, which none of the other listed ones can be.
  if (state == kKernelBoundInactive || (state == kKernelClose && is_tcp(protocol))) return SocketState::kBound;
  if (state == kKernelNewSynReceived) return SocketState::kSynReceived;
  return state >= 1 && state <= 11 ? static_cast<SocketState>(state) : SocketState::kUnknown;
}

template <typename Value>
bool take(std::string_view bytes, size_t at, Value* value) {
  if (bytes.size() < at || bytes.size() - at < sizeof *value) return false;
  memcpy(value, bytes.data() + at, sizeof *value);
  return true;
}

size_t aligned(size_t length) { return (length + 3) & ~size_t{3}; }

// Calls visit(type, payload) for the attributes; ends at the first that does not fit.
template <typename Visit>
void visit_attributes(std::string_view bytes, const Visit& visit) {
  nlattr header;
  while (take(bytes, 0, &header)) {
    if (header.nla_len < sizeof header || header.nla_len > bytes.size()) return;
    visit(static_cast<uint16_t>(header.nla_type & NLA_TYPE_MASK),
          bytes.substr(sizeof header, header.nla_len - sizeof header));
    bytes.remove_prefix(std::min(bytes.size(), aligned(header.nla_len)));
  }
}

void copy_address(const __be32 (&from)[4], bool v6, std::array<uint8_t, 16>* to) {
  memcpy(to->data(), from, v6 ? 16 : 4);
}

bool parse_inet(std::string_view payload, Protocol wanted, SocketRow* row) {
  inet_diag_msg message;
  if (!take(payload, 0, &message)) return false;
  const bool v6 = message.idiag_family == AF_INET6;
  if (!v6 && message.idiag_family != AF_INET) return false;
  const Protocol protocol = is_tcp(wanted) ? (v6 ? kTcp6 : kTcp4) : (v6 ? kUdp6 : kUdp4);
  if ((wanted & protocol) == 0) return false;
  row->protocol = protocol;
  row->state = portable_state(message.idiag_state, protocol);
  copy_address(message.id.idiag_src, v6, &row->local_address);
  copy_address(message.id.idiag_dst, v6, &row->remote_address);
  row->local_port = ntohs(message.id.idiag_sport);
  row->remote_port = ntohs(message.id.idiag_dport);
  row->scope_id = message.id.idiag_if;
  row->uid = message.idiag_uid;
  row->inode = message.idiag_inode;
  visit_attributes(payload.substr(sizeof message), [row, v6](uint16_t type, std::string_view value) {
    uint8_t flag = 0;
    uint64_t cgroup = 0;
    if (type == kAttributeV6Only && v6 && take(value, 0, &flag)) row->v6_only = flag != 0;
    if (type == kAttributeCgroup && take(value, 0, &cgroup) && cgroup != 0) row->cgroup = cgroup;
  });
  return true;
}

bool parse_unix(std::string_view payload, SocketRow* row) {
  unix_diag_msg message;
  if (!take(payload, 0, &message) || message.udiag_family != AF_UNIX) return false;
  row->protocol = kUnix;
  row->state = portable_state(message.udiag_state, kUnix);
  row->inode = message.udiag_ino;
  row->uid = kUnknownUid;
  visit_attributes(payload.substr(sizeof message), [row](uint16_t type, std::string_view value) {
    if (type == UNIX_DIAG_NAME) {
      // Abstract names begin with NUL and may hold more of them; paths may come with the final one.
      if (!value.empty() && value.front() != '\0') value = value.substr(0, value.find('\0'));
      row->path.assign(value);
    }
    if (type == kAttributeUnixUid) take(value, 0, &row->uid);
  });
  return true;
}

template <typename Request>
std::string message_of(const Request& request, uint16_t type, uint32_t sequence) {
  nlmsghdr header{};
  header.nlmsg_len = sizeof header + sizeof request;
  header.nlmsg_type = type;
  header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header.nlmsg_seq = sequence;
  std::string message(header.nlmsg_len, '\0');
  memcpy(message.data(), &header, sizeof header);
  memcpy(message.data() + sizeof header, &request, sizeof request);
  return message;
}

// ERROR and DONE carry a negative errno; an ERROR of 0 is an acknowledgement.
int payload_error(std::string_view payload) {
  int32_t error = 0;
  if (!take(payload, 0, &error) || error >= 0) return 0;
  return error >= -kMostErrno ? -error : EBADMSG;
}

void parse_message(const nlmsghdr& header, std::string_view payload, Protocol protocol, DiagProgress* progress,
                   std::vector<SocketRow>* rows) {
  if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) progress->interrupted = true;
  if (header.nlmsg_type == NLMSG_OVERRUN) progress->interrupted = true;
  if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) {
    progress->error = payload_error(payload);
    progress->done = header.nlmsg_type == NLMSG_DONE || progress->error != 0;
  }
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY && header.nlmsg_type != TCPDIAG_GETSOCK) return;
  SocketRow row;
  const bool parsed = protocol == kUnix ? parse_unix(payload, &row) : parse_inet(payload, protocol, &row);
  if (parsed) rows->push_back(std::move(row));
}

int bind_anywhere(int fd, in_addr_t address) {
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_addr.s_addr = htonl(address);
  return bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof local) == 0 ? 0 : errno;
}

// Takes a port for the moment of one dump. Nobody is in the way of it: the address is one of the loopback
// network's least likely ones, and SO_REUSEADDR lets others bind the port beside it.
bool probe_bound(bool* answered) {
  *answered = false;
  const ScopedFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int one = 1;
  if (!fd || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0) return false;
  // Where the loopback interface is down, only the wildcard can be bound.
  if (bind_anywhere(fd.get(), INADDR_LOOPBACK + 0x515253) != 0 && bind_anywhere(fd.get(), INADDR_ANY) != 0)
    return false;
  sockaddr_in local{};
  socklen_t length = sizeof local;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&local), &length) != 0) return false;
  DiagQuery query;
  query.states = 1u << static_cast<unsigned>(SocketState::kBound);
  query.local_port = ntohs(local.sin_port);
  std::vector<SocketRow> rows;
  *answered = DiagSocket().dump(query, &rows) == 0;
  return std::any_of(rows.begin(), rows.end(),
                     [&query](const SocketRow& row) { return row.local_port == query.local_port; });
}

}  // namespace

std::string build_diag_request(const DiagQuery& query, uint32_t sequence) {
  if (query.protocol == kUnix) {
    unix_diag_req request{};
    request.sdiag_family = AF_UNIX;
    request.udiag_states = kernel_states(query.states);
    request.udiag_show = UDIAG_SHOW_NAME | kShowUnixUid;
    return message_of(request, SOCK_DIAG_BY_FAMILY, sequence);
  }
  if (query.protocol == kTcpBoth) {
    // The older request, which the kernel answers regardless of the family.
    inet_diag_req request{};
    request.idiag_states = kernel_states(query.states);
    request.id.idiag_sport = htons(query.local_port);
    return message_of(request, TCPDIAG_GETSOCK, sequence);
  }
  inet_diag_req_v2 request{};
  request.sdiag_family = query.protocol == kTcp4 || query.protocol == kUdp4 ? AF_INET : AF_INET6;
  request.sdiag_protocol = is_tcp(query.protocol) ? IPPROTO_TCP : IPPROTO_UDP;
  request.idiag_states = kernel_states(query.states);
  request.id.idiag_sport = htons(query.local_port);
  return message_of(request, SOCK_DIAG_BY_FAMILY, sequence);
}

DiagProgress parse_diag_messages(std::string_view bytes, Protocol protocol, uint32_t sequence,
                                 std::vector<SocketRow>* rows) {
  DiagProgress progress;
  nlmsghdr header;
  while (!progress.done && take(bytes, 0, &header)) {
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > bytes.size()) {
      progress.error = EBADMSG;
      progress.done = true;
      return progress;
    }
    const std::string_view payload = bytes.substr(sizeof header, header.nlmsg_len - sizeof header);
    if (header.nlmsg_seq == sequence) parse_message(header, payload, protocol, &progress, rows);
    bytes.remove_prefix(std::min(bytes.size(), aligned(header.nlmsg_len)));
  }
  return progress;
}

int DiagSocket::open() {
  if (withheld(kSockDiag)) return EPROTONOSUPPORT;
  if (fd_) return 0;
  fd_.reset(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  return fd_ ? 0 : errno;
}

int DiagSocket::send(const DiagQuery& query) {
  if (!fd_) return EBADF;
  const std::string request = build_diag_request(query, ++sequence_);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent = 0;
  do {
    sent =
        sendto(fd_.get(), request.data(), request.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

// Never waits: the kernel has queued the first part of a dump when sendto() returns, and queues the
// next one whenever a part is taken.
int DiagSocket::receive(Protocol protocol, DiagProgress* progress, std::vector<SocketRow>* rows) {
  alignas(nlmsghdr) char buffer[kReceiveSize];
  sockaddr_nl sender{};
  iovec part{buffer, sizeof buffer};
  msghdr message{};
  message.msg_name = &sender;
  message.msg_namelen = sizeof sender;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ssize_t got = 0;
  do {
    got = recvmsg(fd_.get(), &message, MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return errno;
  if ((message.msg_flags & MSG_TRUNC) != 0 || got == 0) return EBADMSG;
  if (sender.nl_pid != 0) return 0;  // not the kernel's
  *progress = parse_diag_messages({buffer, static_cast<size_t>(got)}, protocol, sequence_, rows);
  return progress->error;
}

int DiagSocket::dump_once(const DiagQuery& query, bool* interrupted, std::vector<SocketRow>* rows) {
  *interrupted = false;
  int error = open();
  if (error == 0) error = send(query);
  DiagProgress progress;
  while (error == 0 && !progress.done) {
    error = receive(query.protocol, &progress, rows);
    *interrupted = *interrupted || progress.interrupted;
  }
  // Messages were lost for want of buffer space, ours or the kernel's.
  if (error == ENOBUFS) *interrupted = true;
  // What is still queued belongs to this dump: the next one starts with a socket of its own.
  if (error != 0) fd_.reset();
  return error;
}

int DiagSocket::dump(const DiagQuery& query, std::vector<SocketRow>* rows) {
  const size_t before = rows->size();
  int error = 0;
  bool interrupted = true;
  for (int repeat = 0; repeat < kRepeats && interrupted; ++repeat) {
    rows->resize(before);
    error = dump_once(query, &interrupted, rows);
  }
  // No dump is a snapshot; one that is still interrupted after several tries is as good as they get.
  if (error != 0) rows->resize(before);
  return error == ENOBUFS ? EAGAIN : error;
}

bool diag_available() {
  DiagQuery query;
  query.states = 1u << static_cast<unsigned>(SocketState::kListen);
  query.local_port = 1;
  std::vector<SocketRow> rows;
  return DiagSocket().dump(query, &rows) == 0;
}

bool diag_shows_bound() {
  enum Answer : int { kNotAsked, kNo, kYes };
  static std::atomic<int> known{kNotAsked};
  if (withheld(kSockDiag)) return false;
  if (known.load(std::memory_order_relaxed) == kNotAsked) {
    bool answered = false;
    const bool shows = probe_bound(&answered);
    if (!answered) return false;
    known.store(shows ? kYes : kNo, std::memory_order_relaxed);
  }
  return known.load(std::memory_order_relaxed) == kYes;
}

}  // namespace pidproof
