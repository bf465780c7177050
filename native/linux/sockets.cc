#include <algorithm>
#include <cerrno>

#include "linux/diag.h"
#include "linux/proc_net.h"
#include "linux/status.h"
#include "platform.h"

namespace pidproof {

namespace {

constexpr Protocol kProtocols[] = {kTcp4, kTcp6, kUdp4, kUdp6, kUnix};
constexpr uint32_t kBoundState = 1u << static_cast<unsigned>(SocketState::kBound);

bool matches(const SocketRow& row, const SocketQuery& query) {
  if (query.states != 0 && (query.states & 1u << static_cast<unsigned>(row.state)) == 0) return false;
  return !query.local_port || row.local_port == *query.local_port;
}

// Appends one protocol's rows: over netlink, else as text. *by_netlink tells which.
int list_protocol(const DiagQuery& query, DiagSocket* netlink, bool* by_netlink, std::vector<SocketRow>* rows) {
  const int error = netlink->dump(query, rows);
  *by_netlink = error == 0;
  // Whatever else stands in netlink's way (no such protocol, a sandbox, a module that is not loaded) says
  // nothing about the sockets.
  return error == 0 || is_own_failure(error) ? error : read_proc_net(query.protocol, rows);
}

// Both families of TCP at once. ENOENT unless both are asked for; whatever the error is, nothing was appended.
int list_tcp_both(const SocketQuery& query, DiagSocket* netlink, std::vector<SocketRow>* rows) {
  if ((query.protocols & kTcpBoth) != kTcpBoth) return ENOENT;
  const int error = netlink->dump({kTcpBoth, query.states, query.local_port.value_or(0)}, rows);
  if (error != 0) return error;
  std::partition(rows->begin(), rows->end(), [](const SocketRow& row) { return row.protocol == kTcp4; });
  return 0;
}

Status failure(int error) {
  return is_own_failure(error) ? os_status("sock_diag", error) : Status{"ENOTSUP", "open /proc/self/net", error};
}

}  // namespace

Status list_sockets(const SocketQuery& query, SocketList* list) {
  list->rows.clear();
  bool bound_tables = (query.protocols & kTcpBoth) != 0 && (query.states == 0 || (query.states & kBoundState) != 0);
  DiagSocket netlink;
  const int refused = list_tcp_both(query, &netlink, &list->rows);
  if (is_own_failure(refused)) return failure(refused);
  const uint32_t left = refused == 0 ? query.protocols & ~static_cast<uint32_t>(kTcpBoth) : query.protocols;
  for (const Protocol protocol : kProtocols) {
    const bool portless = protocol == kUnix && query.local_port;
    if ((left & protocol) == 0 || portless) continue;
    const DiagQuery dump{protocol, query.states, query.local_port.value_or(0)};
    bool by_netlink = false;
    const int error = list_protocol(dump, &netlink, &by_netlink, &list->rows);
    if (error != 0) return failure(error);
    if ((protocol & kTcpBoth) != 0 && !by_netlink) bound_tables = false;
  }
  const auto unwanted = [&query](const SocketRow& row) { return !matches(row, query); };
  list->rows.erase(std::remove_if(list->rows.begin(), list->rows.end(), unwanted), list->rows.end());
  const bool seen = std::any_of(list->rows.begin(), list->rows.end(),
                                [](const SocketRow& row) { return row.state == SocketState::kBound; });
  list->bound_visible = bound_tables && (seen || diag_shows_bound());
  return {};
}

}  // namespace pidproof
