// Socket tables over netlink, sock_diag(7). What goes out and what comes in are pure functions over bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform.h"
#include "posix/scoped_fd.h"

namespace pidproof {

// SocketRow::uid where the kernel does not tell it (unix sockets before 5.3 and in /proc/net/unix): the
// number that it gives to nobody itself.
constexpr uint32_t kUnknownUid = ~0u;

// TCP of both families in one dump, which takes half the time of two: most of it goes into walking the
// kernel's table of connections, whatever is in it.
constexpr auto kTcpBoth = static_cast<Protocol>(kTcp4 | kTcp6);

// One dump: the sockets of one address family and transport, or kTcpBoth.
struct DiagQuery {
  Protocol protocol = kTcp4;
  uint32_t states = 0;      // as SocketQuery::states
  uint16_t local_port = 0;  // 0: any
};

// The whole request message. The kernel skips other ports than the one asked for, except among bound
// TCP sockets, so that the rows have to be looked through once more.
std::string build_diag_request(const DiagQuery& query, uint32_t sequence);

struct DiagProgress {
  bool done = false;         // nothing more follows
  bool interrupted = false;  // the table changed under the dump, or messages were lost: to be repeated
  int error = 0;             // errno that ended the dump; EBADMSG: not netlink messages
};

// Reads one datagram of netlink messages and appends their rows; messages of another sequence are skipped.
DiagProgress parse_diag_messages(std::string_view bytes, Protocol protocol, uint32_t sequence,
                                 std::vector<SocketRow>* rows);

class DiagSocket {
 public:
  // Appends the rows of one dump; on failure none. 0 or errno: EPROTONOSUPPORT where there is no
  // sock_diag, ENOENT where this protocol's part of it is missing.
  int dump(const DiagQuery& query, std::vector<SocketRow>* rows);

 private:
  int open();
  int send(const DiagQuery& query);
  int receive(Protocol protocol, DiagProgress* progress, std::vector<SocketRow>* rows);
  int dump_once(const DiagQuery& query, bool* interrupted, std::vector<SocketRow>* rows);

  ScopedFd fd_;
  uint32_t sequence_ = 0;
};

// True where TCP tables can be had over netlink.
bool diag_available();

// True where dumps show TCP sockets that have a port but neither listen nor are connected (Linux 6.8).
// Asked once per process, with a socket of our own on a loopback port that the kernel picks.
bool diag_shows_bound();

}  // namespace pidproof
