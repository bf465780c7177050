// What the unit tests need of a test framework.
#pragma once

#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace pidproof_test {

struct Test {
  const char* suite;
  const char* title;
  void (*body)();
};

std::vector<Test>& all_tests();

struct Registration {
  Registration(const char* suite, const char* title, void (*body)()) { all_tests().push_back({suite, title, body}); }
};

void fail(const char* file, int line, const std::string& what);

template <typename Left, typename Right>
void check_equal(const Left& left, const Right& right, const char* text, const char* file, int line) {
  if (left == right) return;
  std::ostringstream what;
  what << text << ": " << left << " != " << right;
  fail(file, line, what.str());
}

// The bytes of a file in native/test/data.
std::string recorded(const char* name);

// A copy whose end is the end of its allocation, so that a sanitizer sees every byte read beyond it.
class ExactBytes {
 public:
  explicit ExactBytes(std::string_view bytes) : bytes_(new char[bytes.size()]), size_(bytes.size()) {
    bytes.copy(bytes_.get(), size_);
  }
  std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t size_;
};

// Calls parse(bytes) with every beginning of the input, and with every byte of it replaced in turn.
void for_all_damages(std::string_view input, const std::function<void(std::string_view)>& parse);

}  // namespace pidproof_test

#define PIDPROOF_JOIN_(left, right) left##right
#define PIDPROOF_JOIN(left, right) PIDPROOF_JOIN_(left, right)
#define PIDPROOF_TEST_(suite, title, body)                                                       \
  static void body();                                                                            \
  static const pidproof_test::Registration PIDPROOF_JOIN(registered_, body){suite, title, body}; \
  static void body()
#define TEST(suite, title) PIDPROOF_TEST_(suite, title, PIDPROOF_JOIN(test_at_line_, __LINE__))

#define CHECK(condition) ((condition) ? void() : pidproof_test::fail(__FILE__, __LINE__, #condition))
#define CHECK_EQ(left, right) pidproof_test::check_equal((left), (right), #left " == " #right, __FILE__, __LINE__)
