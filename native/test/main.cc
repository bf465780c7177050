// Runs the unit tests, or those of the suites named as arguments. Exit code 1 when one fails or none ran.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "check.h"

namespace pidproof_test {

namespace {

int failures = 0;

bool wanted(const Test& test, const std::vector<std::string>& suites) {
  return suites.empty() || std::find(suites.begin(), suites.end(), test.suite) != suites.end();
}

bool passes(const Test& test) {
  const int before = failures;
  test.body();
  const bool passed = failures == before;
  printf("%s %s: %s\n", passed ? "ok    " : "FAILED", test.suite, test.title);
  return passed;
}

}  // namespace

std::vector<Test>& all_tests() {
  static std::vector<Test> tests;
  return tests;
}

void fail(const char* file, int line, const std::string& what) {
  ++failures;
  printf("%s:%d: %s\n", file, line, what.c_str());
}

std::string recorded(const char* name) {
  std::ifstream file(std::string(PIDPROOF_TEST_DATA "/") + name, std::ios::binary);
  if (!file) {
    printf("%s/%s cannot be read\n", PIDPROOF_TEST_DATA, name);
    exit(1);
  }
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void for_all_damages(std::string_view input, const std::function<void(std::string_view)>& parse) {
  for (size_t length = 0; length < input.size(); ++length) parse(ExactBytes(input.substr(0, length)).view());
  for (size_t at = 0; at < input.size(); ++at) {
    for (const char byte : {'\0', '\1', '\x7f', '\x80', '\xff', '\n', ' '}) {
      std::string damaged(input);
      damaged[at] = byte;
      parse(ExactBytes(damaged).view());
    }
  }
}

int run(const std::vector<std::string>& suites) {
  int passed = 0;
  int failed = 0;
  for (const Test& test : all_tests()) {
    if (wanted(test, suites)) ++(passes(test) ? passed : failed);
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}

}  // namespace pidproof_test

int main(int count, char** arguments) { return pidproof_test::run({arguments + 1, arguments + count}); }
