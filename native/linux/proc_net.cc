#include "linux/proc_net.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "linux/diag.h"
#include "linux/procfs.h"

namespace pidproof {

namespace {

constexpr uint64_t kAcceptsConnections = 0x10000;  // __SO_ACCEPTCON
constexpr uint64_t kUnixConnecting = 2;            // SS_CONNECTING: connected, not accepted yet
constexpr uint64_t kUnixConnected = 3;

int digit_of(char character) {
  if (character >= '0' && character <= '9') return character - '0';
  if (character >= 'A' && character <= 'F') return character - 'A' + 10;
  if (character >= 'a' && character <= 'f') return character - 'a' + 10;
  return 16;
}

// Takes blank-separated words and the numbers in them off the front of a line.
class LineReader {
 public:
  explicit LineReader(std::string_view line) : rest_(line) {}

  void skip_blanks() {
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
  }

  // At most 16 digits, which is what fits.
  bool number(int base, uint64_t* value) {
    *value = 0;
    size_t length = 0;
    for (; length < rest_.size() && length <= 16 && digit_of(rest_[length]) < base; ++length) {
      *value = *value * static_cast<uint64_t>(base) + static_cast<uint64_t>(digit_of(rest_[length]));
    }
    rest_.remove_prefix(length);
    return length > 0 && length <= 16;
  }

  bool literal(char expected) {
    if (rest_.empty() || rest_.front() != expected) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool column(int base, uint64_t* value) {
    skip_blanks();
    return number(base, value) && (rest_.empty() || rest_.front() == ' ');
  }

  bool skip_word() {
    skip_blanks();
    const size_t length = std::min(rest_.find(' '), rest_.size());
    rest_.remove_prefix(length);
    return length > 0;
  }

  // "0100007F:1F90": words of an address as this machine reads them from memory, then the port as a number.
  bool endpoint(bool v6, std::array<uint8_t, 16>* address, uint16_t* port) {
    skip_blanks();
    for (size_t word = 0; word < (v6 ? 4u : 1u); ++word) {
      LineReader digits(rest_.substr(0, 8));
      uint64_t value = 0;
      if (rest_.size() < 8 || !digits.number(16, &value) || !digits.rest_.empty()) return false;
      const auto bytes = static_cast<uint32_t>(value);
      memcpy(address->data() + word * sizeof bytes, &bytes, sizeof bytes);
      rest_.remove_prefix(8);
    }
    uint64_t value = 0;
    if (!literal(':') || !number(16, &value) || value > 0xffff) return false;
    *port = static_cast<uint16_t>(value);
    return true;
  }

  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

//   sl  local_address rem_address   st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
bool parse_inet_line(std::string_view line, Protocol protocol, SocketRow* row) {
  const bool v6 = protocol == kTcp6 || protocol == kUdp6;
  LineReader reader(line);
  uint64_t slot = 0;
  uint64_t state = 0;
  uint64_t uid = 0;
  reader.skip_blanks();
  if (!reader.number(10, &slot) || !reader.literal(':')) return false;
  if (!reader.endpoint(v6, &row->local_address, &row->local_port)) return false;
  if (!reader.endpoint(v6, &row->remote_address, &row->remote_port)) return false;
  if (!reader.column(16, &state) || !reader.skip_word() || !reader.skip_word() || !reader.skip_word()) return false;
  if (!reader.column(10, &uid) || !reader.skip_word() || !reader.column(10, &row->inode)) return false;
  row->protocol = protocol;
  row->state = state >= 1 && state <= 11 ? static_cast<SocketState>(state) : SocketState::kUnknown;
  row->uid = static_cast<uint32_t>(uid);
  return true;
}

SocketState unix_state(uint64_t flags, uint64_t state) {
  if ((flags & kAcceptsConnections) != 0) return SocketState::kListen;
  return state == kUnixConnecting || state == kUnixConnected ? SocketState::kEstablished : SocketState::kClosed;
}

// Num       RefCount Protocol Flags    Type St Inode Path
bool parse_unix_line(std::string_view line, SocketRow* row) {
  LineReader reader(line);
  uint64_t ignored = 0;
  uint64_t flags = 0;
  uint64_t state = 0;
  if (!reader.number(16, &ignored) || !reader.literal(':')) return false;
  if (!reader.column(16, &ignored) || !reader.column(16, &ignored) || !reader.column(16, &flags)) return false;
  if (!reader.column(16, &ignored) || !reader.column(16, &state) || !reader.column(10, &row->inode)) return false;
  row->protocol = kUnix;
  row->state = unix_state(flags, state);
  row->uid = kUnknownUid;
  if (reader.literal(' ')) row->path.assign(reader.rest());
  // NUL bytes of abstract names are printed as '@', the first as well as others.
  if (!row->path.empty() && row->path.front() == '@') row->path.front() = '\0';
  return true;
}

// Calls visit(line) for the lines after the header.
template <typename Visit>
void visit_lines(std::string_view text, const Visit& visit) {
  size_t end = text.find('\n');
  while (end != std::string_view::npos && end + 1 < text.size()) {
    const size_t start = end + 1;
    end = text.find('\n', start);
    visit(text.substr(start, end - start));
  }
}

const char* table_path(Protocol protocol) {
  switch (protocol) {
    case kTcp4: return "/proc/self/net/tcp";
    case kTcp6: return "/proc/self/net/tcp6";
    case kUdp4: return "/proc/self/net/udp";
    case kUdp6: return "/proc/self/net/udp6";
    default: return "/proc/self/net/unix";
  }
}

// No file and no addresses of that family either: it is switched off, and there is nothing to list.
bool without_ipv6(Protocol protocol) {
  return (protocol == kTcp6 || protocol == kUdp6) && access("/proc/self/net/if_inet6", F_OK) != 0 &&
         access("/proc/self/net/tcp", F_OK) == 0;
}

}  // namespace

void parse_inet_table(std::string_view text, Protocol protocol, std::vector<SocketRow>* rows) {
  visit_lines(text, [protocol, rows](std::string_view line) {
    SocketRow row;
    if (parse_inet_line(line, protocol, &row)) rows->push_back(std::move(row));
  });
}

void parse_unix_table(std::string_view text, std::vector<SocketRow>* rows) {
  SocketRow* last = nullptr;
  visit_lines(text, [rows, &last](std::string_view line) {
    SocketRow row;
    if (parse_unix_line(line, &row)) {
      // Inode 0: not accepted yet; sock_diag does not list those.
      if (row.inode == 0) {
        last = nullptr;
        return;
      }
      rows->push_back(std::move(row));
      last = &rows->back();
    } else if (last != nullptr && !last->path.empty()) {
      last->path.append("\n").append(line);  // paths are printed as they are, newlines too
    }
  });
}

int read_proc_net(Protocol protocol, std::vector<SocketRow>* rows) {
  std::string text;
  const int error = read_whole(AT_FDCWD, table_path(protocol), &text);
  if (error == ENOENT && without_ipv6(protocol)) return 0;
  if (error != 0) return error;
  if (protocol == kUnix) {
    parse_unix_table(text, rows);
  } else {
    parse_inet_table(text, protocol, rows);
  }
  return 0;
}

}  // namespace pidproof
