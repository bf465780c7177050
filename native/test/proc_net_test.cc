#include "linux/proc_net.h"

#include "check.h"
#include "linux/diag.h"
#include "rows.h"

using pidproof::Protocol;
using pidproof::SocketRow;
using pidproof::SocketState;
using pidproof_test::joined;
using pidproof_test::recorded;
using pidproof_test::row_with;
using pidproof_test::sorted_texts;
using pidproof_test::text_of;

namespace {

const std::string kInetHeader =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const std::string kUnixHeader = "Num       RefCount Protocol Flags    Type St Inode Path\n";

std::vector<SocketRow> inet_rows(std::string_view text, Protocol protocol = pidproof::kTcp4) {
  std::vector<SocketRow> rows;
  parse_inet_table(pidproof_test::ExactBytes(text).view(), protocol, &rows);
  return rows;
}

std::vector<SocketRow> unix_rows(std::string_view text) {
  std::vector<SocketRow> rows;
  parse_unix_table(pidproof_test::ExactBytes(text).view(), &rows);
  return rows;
}

// What netlink said about the same sockets at the same time, without what /proc/net leaves out.
std::vector<SocketRow> netlink_rows(const char* name, Protocol protocol) {
  std::vector<SocketRow> rows;
  std::vector<SocketRow> shown;
  pidproof::parse_diag_messages(recorded(name), protocol, 7, &rows);
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(shown),
               [](const SocketRow& row) { return row.state != SocketState::kBound; });
  return shown;
}

}  // namespace

TEST("proc_net", "the text tables give the same rows as netlink") {
  struct Case {
    const char* text;
    const char* netlink;
    Protocol protocol;
  };
  for (const Case& same : {Case{"proc_net_tcp.txt", "diag_tcp4.bin", pidproof::kTcp4},
                           Case{"proc_net_tcp6.txt", "diag_tcp6.bin", pidproof::kTcp6},
                           Case{"proc_net_udp.txt", "diag_udp4.bin", pidproof::kUdp4},
                           Case{"proc_net_udp6.txt", "diag_udp6.bin", pidproof::kUdp6}}) {
    const std::vector<SocketRow> rows = inet_rows(recorded(same.text), same.protocol);
    CHECK(!rows.empty());
    CHECK_EQ(joined(sorted_texts(rows)), joined(sorted_texts(netlink_rows(same.netlink, same.protocol))));
  }
}

TEST("proc_net", "an IPv4 row has its address in network order and its port as a number") {
  const std::vector<SocketRow> rows = inet_rows(recorded("proc_net_tcp.txt"));
  CHECK_EQ(text_of(row_with(rows, 1265983)), "10 7f000001:8081 00000000:0 uid=1000 1265983");
  CHECK(!row_with(rows, 1265983).v6_only.has_value());
}

TEST("proc_net", "unix sockets have the same states and inodes as in netlink, but no known user") {
  const std::vector<SocketRow> rows = unix_rows(recorded("proc_net_unix.txt"));
  const std::vector<SocketRow> expected = netlink_rows("diag_unix.bin", pidproof::kUnix);
  CHECK_EQ(rows.size(), expected.size());
  for (const SocketRow& row : expected) {
    const SocketRow found = row_with(rows, row.inode);
    CHECK_EQ(found.inode, row.inode);
    CHECK_EQ(static_cast<int>(found.state), static_cast<int>(row.state));
    CHECK_EQ(found.uid, pidproof::kUnknownUid);
  }
  CHECK_EQ(row_with(rows, 1265996).path, "/tmp/app.sock");
  CHECK_EQ(row_with(rows, 1266000).path, "two\nlines");
  // Only the first '@' is known to stand for a NUL.
  CHECK(row_with(rows, 1265997).path == std::string("\0ab@c", 5));
}

TEST("proc_net", "an empty table and a table without header have no rows") {
  CHECK(inet_rows("").empty());
  CHECK(inet_rows(kInetHeader).empty());
  CHECK(inet_rows("   0: 0100007F:1F91 00000000:0000 0A 0:0 0:0 0 1000 0 5").empty());
  CHECK(unix_rows("").empty());
  CHECK(unix_rows(kUnixHeader).empty());
}

TEST("proc_net", "lines that are no rows are skipped, and the next one is read") {
  const std::string row = "   1: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 5 1\n";
  for (const std::string bad :
       {"", "garbage", "0: 0100007F", "0: 0100007F:", "0: 0100007F:1F91", "0: 010000:1F91 00000000:0000 0A",
        "0: 0100007F:1F9111 00000000:0000 0A 0:0 0:0 0 0 0 9", "0: 0100007F:1F91 00000000:0000 0A 0:0 0:0 0 x 0 9",
        "0: 0100007F:1F91 00000000:0000 0A 0:0 0:0 0 0 0 -9", "0: 0100007F:1F91 00000000:0000 0A 0:0 0:0 0 0 0 9x",
        "0: 0100007F:1F91 00000000:0000 0A 0:0 0:0 0 0 0 99999999999999999999", "-1: 0100007F:1F91"}) {
    const std::vector<SocketRow> rows = inet_rows(std::string(kInetHeader).append(bad).append("\n").append(row));
    CHECK_EQ(joined(sorted_texts(rows)), joined({"10 7f000001:8081 00000000:0 uid=1000 5"}));
  }
}

TEST("proc_net", "a state that is not known stays unknown") {
  const std::string row = "   1: 0100007F:1F91 00000000:0000 7F 00000000:00000000 00:00000000 00000000  1000  0 5 1";
  CHECK_EQ(static_cast<int>(row_with(inet_rows(kInetHeader + row), 5).state), 0);
}

TEST("proc_net", "an IPv4 line is not an IPv6 row") {
  CHECK(inet_rows(recorded("proc_net_tcp.txt"), pidproof::kTcp6).empty());
  CHECK(inet_rows(recorded("proc_net_tcp6.txt"), pidproof::kTcp4).empty());
}

TEST("proc_net", "connections that nobody has accepted are no unix rows, and neither is what follows their path") {
  const std::string table = kUnixHeader +
                            "0000000000000000: 00000002 00000000 00010000 0001 01 12 /a\n"
                            "0000000000000000: 00000003 00000000 00000000 0001 02     0 /b\n"
                            "rest of b\n";
  const std::vector<SocketRow> rows = unix_rows(table);
  CHECK_EQ(rows.size(), 1u);
  CHECK_EQ(row_with(rows, 12).path, "/a");
}

TEST("proc_net", "paths keep their blanks") {
  const std::vector<SocketRow> rows = unix_rows(kUnixHeader + "0: 2 0 10000 1 1 12  /a b \n0: 2 0 0 2 1 13\n");
  CHECK_EQ(row_with(rows, 12).path, " /a b ");
  CHECK_EQ(row_with(rows, 13).path, "");
  CHECK_EQ(static_cast<int>(row_with(rows, 13).state), static_cast<int>(SocketState::kClosed));
}

TEST("proc_net", "no damage to a table makes the parsers read beyond it") {
  for (const char* name : {"proc_net_tcp.txt", "proc_net_tcp6.txt", "proc_net_udp.txt"}) {
    pidproof_test::for_all_damages(recorded(name), [](std::string_view text) {
      std::vector<SocketRow> rows;
      parse_inet_table(text, pidproof::kTcp4, &rows);
      parse_inet_table(text, pidproof::kTcp6, &rows);
      CHECK(rows.size() <= text.size() / 32);
    });
  }
  pidproof_test::for_all_damages(recorded("proc_net_unix.txt"), [](std::string_view text) {
    std::vector<SocketRow> rows;
    parse_unix_table(text, &rows);
    CHECK(rows.size() <= text.size() / 16);
  });
}

TEST("proc_net", "the tables of this process can be read") {
  std::vector<SocketRow> rows;
  for (const Protocol protocol :
       {pidproof::kTcp4, pidproof::kTcp6, pidproof::kUdp4, pidproof::kUdp6, pidproof::kUnix}) {
    CHECK_EQ(pidproof::read_proc_net(protocol, &rows), 0);
  }
}
