// Socket tables as text, /proc/<pid>/net: where there is no sock_diag. The kernel walks its whole hash
// for them (4 ms on a machine of 24 GB even when nothing listens), and leaves out bound TCP sockets.
#pragma once

#include <string_view>
#include <vector>

#include "platform.h"

namespace pidproof {

// Whole tables, header line included; lines that are none of the table's are skipped.
void parse_inet_table(std::string_view text, Protocol protocol, std::vector<SocketRow>* rows);
void parse_unix_table(std::string_view text, std::vector<SocketRow>* rows);

// Appends one protocol's table of this process's network namespace. 0 or errno.
int read_proc_net(Protocol protocol, std::vector<SocketRow>* rows);

}  // namespace pidproof
