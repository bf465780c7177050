#include "linux/diag.h"

#include <cerrno>
#include <cstring>

#include "check.h"
#include "rows.h"

using pidproof::build_diag_request;
using pidproof::DiagProgress;
using pidproof::DiagQuery;
using pidproof::Protocol;
using pidproof::SocketRow;
using pidproof::SocketState;
using pidproof_test::joined;
using pidproof_test::recorded;
using pidproof_test::row_with;
using pidproof_test::sorted_texts;
using pidproof_test::text_of;

namespace {

constexpr uint32_t kSequence = 7;  // of the recorded dumps
constexpr uint16_t kByFamily = 20, kError = 2, kDone = 3, kOverrun = 4;
constexpr uint16_t kMulti = 2, kInterrupted = 0x10;

template <typename Value>
std::string bytes_of(Value value) {
  std::string bytes(sizeof value, '\0');
  memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

template <typename Value>
Value value_at(const std::string& bytes, size_t at) {
  Value value{};
  if (bytes.size() >= at + sizeof value) memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string padded(std::string bytes) {
  bytes.resize((bytes.size() + 3) & ~size_t{3});
  return bytes;
}

std::string message(uint16_t type, const std::string& payload, uint16_t flags = kMulti, uint32_t sequence = kSequence) {
  return padded(bytes_of(static_cast<uint32_t>(16 + payload.size())) + bytes_of(type) + bytes_of(flags) +
                bytes_of(sequence) + bytes_of(uint32_t{0}) + payload);
}

std::string attribute(uint16_t type, const std::string& value) {
  return padded(bytes_of(static_cast<uint16_t>(4 + value.size())) + bytes_of(type) + value);
}

// struct inet_diag_msg of a socket with inode 77.
std::string inet_payload(uint8_t family, uint8_t state) {
  std::string payload(72, '\0');
  payload[0] = static_cast<char>(family);
  payload[1] = static_cast<char>(state);
  payload.replace(68, 4, bytes_of(uint32_t{77}));
  return payload;
}

std::string unix_payload(const std::string& attributes) {
  std::string payload(16, '\0');
  payload[0] = 1;
  payload[2] = 10;
  payload.replace(4, 4, bytes_of(uint32_t{77}));
  return payload + attributes;
}

struct Parsed {
  DiagProgress progress;
  std::vector<SocketRow> rows;
};

Parsed parse(std::string_view bytes, Protocol protocol = pidproof::kTcp4) {
  Parsed parsed;
  const pidproof_test::ExactBytes exact(bytes);
  parsed.progress = parse_diag_messages(exact.view(), protocol, kSequence, &parsed.rows);
  return parsed;
}

SocketState state_of(Protocol protocol, uint8_t family, uint8_t state) {
  const Parsed parsed = parse(message(kByFamily, inet_payload(family, state)), protocol);
  return parsed.rows.size() == 1 ? parsed.rows.front().state : SocketState::kUnknown;
}

int number(SocketState state) { return static_cast<int>(state); }

}  // namespace

TEST("diag", "a request names family, transport, states and port where the kernel reads them") {
  DiagQuery query;
  query.protocol = pidproof::kTcp6;
  query.states = 1u << number(SocketState::kListen);
  query.local_port = 0x1f90;
  const std::string request = build_diag_request(query, 5);
  CHECK_EQ(request.size(), 72u);
  CHECK_EQ(value_at<uint32_t>(request, 0), 72u);
  CHECK_EQ(value_at<uint16_t>(request, 4), 20u);
  CHECK_EQ(value_at<uint16_t>(request, 6), 0x301u);
  CHECK_EQ(value_at<uint32_t>(request, 8), 5u);
  CHECK_EQ(int{request[16]}, 10);
  CHECK_EQ(int{request[17]}, 6);
  CHECK_EQ(value_at<uint32_t>(request, 20), 1u << 10);
  CHECK(request.substr(24, 2) == "\x1f\x90");
  CHECK(request.substr(26) == std::string(46, '\0'));
}

TEST("diag", "a request for both families of TCP is the older one, with the states behind the address") {
  DiagQuery query;
  query.protocol = pidproof::kTcpBoth;
  query.states = 1u << number(SocketState::kListen);
  query.local_port = 0x1f90;
  const std::string request = build_diag_request(query, 5);
  CHECK_EQ(request.size(), 76u);
  CHECK_EQ(value_at<uint16_t>(request, 4), 18u);
  CHECK(request.substr(20, 2) == "\x1f\x90");
  CHECK_EQ(value_at<uint32_t>(request, 68), 1u << 10);
}

TEST("diag", "an answer for both families tells them apart by row") {
  constexpr uint16_t kOlder = 18;
  for (const Protocol protocol : {pidproof::kTcp4, pidproof::kTcp6}) {
    const uint8_t family = protocol == pidproof::kTcp4 ? 2 : 10;
    const Parsed parsed = parse(message(kOlder, inet_payload(family, 10)), pidproof::kTcpBoth);
    CHECK_EQ(parsed.rows.size(), 1u);
    CHECK_EQ(static_cast<int>(parsed.rows.at(0).protocol), static_cast<int>(protocol));
  }
}

TEST("diag", "a request for UDP over IPv4 says so") {
  DiagQuery query;
  query.protocol = pidproof::kUdp4;
  const std::string request = build_diag_request(query, 1);
  CHECK_EQ(int{request[16]}, 2);
  CHECK_EQ(int{request[17]}, 17);
}

TEST("diag", "bound sockets are asked for with bit 13, which no state of ours has") {
  DiagQuery query;
  query.states = 1u << number(SocketState::kBound);
  CHECK_EQ(value_at<uint32_t>(build_diag_request(query, 1), 20), 1u << 13);
  query.states |= 1u << number(SocketState::kEstablished) | 1u << number(SocketState::kClosing);
  CHECK_EQ(value_at<uint32_t>(build_diag_request(query, 1), 20), 1u << 13 | 1u << 1 | 1u << 11);
}

TEST("diag", "no states mean all states, those of newer kernels included") {
  CHECK_EQ(value_at<uint32_t>(build_diag_request({}, 1), 20), ~0u);
}

TEST("diag", "a request for unix sockets asks for names and users") {
  DiagQuery query;
  query.protocol = pidproof::kUnix;
  const std::string request = build_diag_request(query, 1);
  CHECK_EQ(request.size(), 40u);
  CHECK_EQ(int{request[16]}, 1);
  CHECK_EQ(value_at<uint32_t>(request, 20), ~0u);
  CHECK_EQ(value_at<uint32_t>(request, 28), 0x41u);
}

TEST("diag", "a recorded TCP dump gives every socket with its state, addresses, user and inode") {
  const Parsed parsed = parse(recorded("diag_tcp4.bin"));
  CHECK(parsed.progress.done);
  CHECK_EQ(parsed.progress.error, 0);
  const std::vector<std::string> expected = {
      "1 7f000001:40001 7f000001:8081 uid=0 1265990",  // a client
      "1 7f000001:40002 7f000001:9090 uid=0 1265991",
      "1 7f000001:8081 7f000001:40001 uid=1000 0",  // its other end, not accepted yet
      "10 00000000:8080 00000000:0 uid=0 1265982",    "10 7f000001:8081 00000000:0 uid=1000 1265983",
      "12 7f000001:8082 00000000:0 uid=0 1265984",  // bound only
      "6 7f000001:8080 7f000001:40003 uid=0 0",     // TIME_WAIT
  };
  CHECK_EQ(joined(sorted_texts(parsed.rows)), joined(expected));
  CHECK(row_with(parsed.rows, 1265982).cgroup.has_value());
  CHECK(!row_with(parsed.rows, 1265982).v6_only.has_value());
}

TEST("diag", "a recorded IPv6 dump tells dual-stack listeners from IPv6-only ones") {
  const Parsed parsed = parse(recorded("diag_tcp6.bin"), pidproof::kTcp6);
  CHECK_EQ(parsed.rows.size(), 4u);
  CHECK(row_with(parsed.rows, 1265985).v6_only == std::optional<bool>(false));
  CHECK(row_with(parsed.rows, 1265986).v6_only == std::optional<bool>(true));
  CHECK_EQ(text_of(row_with(parsed.rows, 1265986)),
           "10 00000000000000000000000000000001:9091 00000000000000000000000000000000:0 uid=0 1265986");
  CHECK_EQ(number(row_with(parsed.rows, 1265987).state), number(SocketState::kBound));
  // An IPv4 connection to a dual-stack listener is an IPv6 socket with mapped addresses.
  CHECK_EQ(text_of(row_with(parsed.rows, 1265992)),
           "1 00000000000000000000ffff7f000001:9090 00000000000000000000ffff7f000001:40002 uid=0 1265992");
}

TEST("diag", "recorded UDP dumps tell connected sockets from unconnected ones") {
  const Parsed v4 = parse(recorded("diag_udp4.bin"), pidproof::kUdp4);
  CHECK_EQ(joined(sorted_texts(v4.rows)),
           joined({"1 7f000001:40004 7f000001:5353 uid=0 1265995", "7 00000000:5353 00000000:0 uid=0 1265988"}));
  const Parsed v6 = parse(recorded("diag_udp6.bin"), pidproof::kUdp6);
  CHECK_EQ(v6.rows.size(), 1u);
  CHECK_EQ(row_with(v6.rows, 1265989).local_port, 5354);
  CHECK(row_with(v6.rows, 1265989).v6_only == std::optional<bool>(true));
}

TEST("diag", "a recorded dump of unix sockets gives paths, newlines too, and abstract names with their NUL") {
  const Parsed parsed = parse(recorded("diag_unix.bin"), pidproof::kUnix);
  CHECK_EQ(parsed.rows.size(), 5u);
  CHECK_EQ(row_with(parsed.rows, 1265996).path, "/tmp/app.sock");
  CHECK_EQ(number(row_with(parsed.rows, 1265996).state), number(SocketState::kListen));
  CHECK(row_with(parsed.rows, 1265997).path == std::string("\0ab\0c", 5));
  CHECK_EQ(number(row_with(parsed.rows, 1265998).state), number(SocketState::kEstablished));
  CHECK_EQ(row_with(parsed.rows, 1266000).path, "two\nlines");
  CHECK_EQ(row_with(parsed.rows, 1266000).uid, 0u);
}

TEST("diag", "an error in the end mark of a dump is the dump's error") {
  const Parsed parsed = parse(recorded("diag_no_protocol.bin"));
  CHECK(parsed.progress.done);
  CHECK_EQ(parsed.progress.error, ENOENT);
}

TEST("diag", "an error message ends the dump, an acknowledgement does not") {
  const Parsed refused = parse(message(kError, bytes_of(int32_t{-EPERM}) + std::string(16, '\0')));
  CHECK(refused.progress.done);
  CHECK_EQ(refused.progress.error, EPERM);
  const Parsed acknowledged = parse(message(kError, bytes_of(int32_t{0}) + std::string(16, '\0')));
  CHECK(!acknowledged.progress.done);
  CHECK_EQ(acknowledged.progress.error, 0);
}

TEST("diag", "a dump that the table changed under, or that lost messages, is to be repeated") {
  CHECK(parse(message(kByFamily, inet_payload(2, 10), kMulti | kInterrupted)).progress.interrupted);
  CHECK(parse(message(kDone, bytes_of(int32_t{0}), kMulti | kInterrupted)).progress.interrupted);
  CHECK(parse(message(kOverrun, "")).progress.interrupted);
  CHECK(!parse(message(kByFamily, inet_payload(2, 10))).progress.interrupted);
}

TEST("diag", "a dump goes on until its end mark, and nothing after that counts") {
  const std::string row = message(kByFamily, inet_payload(2, 10));
  CHECK(!parse(row).progress.done);
  const Parsed ended = parse(row + message(kDone, "") + row);
  CHECK(ended.progress.done);
  CHECK_EQ(ended.progress.error, 0);
  CHECK_EQ(ended.rows.size(), 1u);
}

TEST("diag", "messages of another sequence are skipped") {
  const std::string stale = message(kByFamily, inet_payload(2, 10), kMulti, kSequence - 1) +
                            message(kDone, bytes_of(int32_t{-ENOENT}), kMulti, kSequence - 1);
  const Parsed parsed = parse(stale + message(kByFamily, inet_payload(2, 10)));
  CHECK(!parsed.progress.done);
  CHECK_EQ(parsed.rows.size(), 1u);
}

TEST("diag", "a message shorter than its header or longer than the datagram is none") {
  std::string empty = message(kByFamily, inet_payload(2, 10));
  empty.replace(0, 4, bytes_of(uint32_t{0}));
  CHECK_EQ(parse(empty).progress.error, EBADMSG);
  std::string endless = message(kByFamily, inet_payload(2, 10));
  endless.replace(0, 4, bytes_of(~uint32_t{0}));
  CHECK_EQ(parse(endless).progress.error, EBADMSG);
  CHECK(parse(endless).progress.done);
  CHECK(parse(endless).rows.empty());
}

TEST("diag", "a row that is too short or of another family is skipped") {
  CHECK(parse(message(kByFamily, inet_payload(2, 10).substr(0, 71))).rows.empty());
  CHECK(parse(message(kByFamily, inet_payload(10, 10))).rows.empty());
  CHECK(parse(message(kByFamily, unix_payload("")), pidproof::kTcp4).rows.empty());
  CHECK(parse(message(kByFamily, inet_payload(2, 10)), pidproof::kUnix).rows.empty());
}

TEST("diag", "attributes that do not fit end the attributes, not the row") {
  const std::string only = attribute(11, std::string(1, '\1'));
  for (const uint16_t length : {uint16_t{0}, uint16_t{3}, uint16_t{200}, uint16_t{0xffff}}) {
    std::string bad = attribute(11, std::string(1, '\1'));
    bad.replace(0, 2, bytes_of(length));
    const Parsed parsed = parse(message(kByFamily, inet_payload(10, 10).append(bad).append(only)), pidproof::kTcp6);
    CHECK_EQ(parsed.rows.size(), 1u);
    CHECK(!row_with(parsed.rows, 77).v6_only.has_value());
  }
  const Parsed good = parse(message(kByFamily, inet_payload(10, 10) + attribute(99, "abc") + only), pidproof::kTcp6);
  CHECK(row_with(good.rows, 77).v6_only == std::optional<bool>(true));
}

TEST("diag", "attributes without their value leave the field unknown") {
  const std::string attributes = attribute(11, "") + attribute(21, "1234567");
  const Parsed parsed = parse(message(kByFamily, inet_payload(10, 10) + attributes), pidproof::kTcp6);
  CHECK_EQ(parsed.rows.size(), 1u);
  CHECK(!row_with(parsed.rows, 77).v6_only.has_value());
  CHECK(!row_with(parsed.rows, 77).cgroup.has_value());
  const Parsed named = parse(message(kByFamily, unix_payload(attribute(7, "ab"))), pidproof::kUnix);
  CHECK_EQ(row_with(named.rows, 77).uid, pidproof::kUnknownUid);
}

TEST("diag", "names of unix sockets lose a final NUL, abstract ones keep all") {
  const auto name = [](const std::string& value) {
    return row_with(parse(message(kByFamily, unix_payload(attribute(0, value))), pidproof::kUnix).rows, 77).path;
  };
  CHECK_EQ(name(std::string("/run/x\0", 7)), "/run/x");
  CHECK_EQ(name("/run/x"), "/run/x");
  CHECK(name(std::string("\0a\0", 3)) == std::string("\0a\0", 3));
  CHECK_EQ(name(""), "");
}

TEST("diag", "kernel states have their portable counterparts, unknown ones none") {
  CHECK_EQ(number(state_of(pidproof::kTcp4, 2, 1)), number(SocketState::kEstablished));
  CHECK_EQ(number(state_of(pidproof::kTcp4, 2, 12)), number(SocketState::kSynReceived));
  CHECK_EQ(number(state_of(pidproof::kTcp4, 2, 7)), number(SocketState::kBound));
  CHECK_EQ(number(state_of(pidproof::kTcp6, 10, 13)), number(SocketState::kBound));
  CHECK_EQ(number(state_of(pidproof::kUdp4, 2, 7)), number(SocketState::kClosed));
  CHECK_EQ(number(state_of(pidproof::kUdp6, 10, 7)), number(SocketState::kClosed));
  CHECK_EQ(number(state_of(pidproof::kTcp4, 2, 0)), number(SocketState::kUnknown));
  CHECK_EQ(number(state_of(pidproof::kTcp4, 2, 200)), number(SocketState::kUnknown));
}

TEST("diag", "no damage to a dump makes the parser read beyond it or invent more rows than fit") {
  struct Case {
    const char* name;
    Protocol protocol;
  };
  for (const Case& damaged : {Case{"diag_tcp4.bin", pidproof::kTcp4}, Case{"diag_tcp6.bin", pidproof::kTcp6},
                              Case{"diag_udp6.bin", pidproof::kUdp6}, Case{"diag_unix.bin", pidproof::kUnix}}) {
    pidproof_test::for_all_damages(recorded(damaged.name), [&damaged](std::string_view bytes) {
      std::vector<SocketRow> rows;
      const DiagProgress progress = parse_diag_messages(bytes, damaged.protocol, kSequence, &rows);
      CHECK(rows.size() <= bytes.size() / 32);
      CHECK(progress.error == 0 || progress.done);
    });
  }
}

TEST("diag", "an error number that is none is a malformed message") {
  CHECK_EQ(parse(message(kDone, bytes_of(int32_t{-4095}))).progress.error, 4095);
  CHECK_EQ(parse(message(kDone, bytes_of(int32_t{-4096}))).progress.error, EBADMSG);
  CHECK_EQ(parse(message(kDone, bytes_of(INT32_MIN))).progress.error, EBADMSG);
  CHECK_EQ(parse(message(kDone, bytes_of(int32_t{5}))).progress.error, 0);
}
