#include "posix/users.h"

#include <pwd.h>

#include <cerrno>
#include <vector>

namespace pidproof {

std::string user_name(uint32_t uid) {
  std::vector<char> buffer(1024);
  for (;;) {
    passwd entry;
    passwd* found = nullptr;
    const int error = getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
    if (error == ERANGE && buffer.size() < (1u << 20)) {
      buffer.resize(buffer.size() * 2);
      continue;
    }
    return found != nullptr ? found->pw_name : std::string();
  }
}

}  // namespace pidproof
