#include "linux/filter.h"

#include "check.h"

using pidproof::has_sequence;
using pidproof::has_tokens;
using pidproof::has_variable;
using pidproof::matches_exe;

namespace {

std::string entries(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text.append(value).push_back('\0');
  return text;
}

}  // namespace

TEST("filter", "an argument is found as a whole only") {
  const std::string argv = entries({"node", "server.js", "", "--port=1"});
  CHECK(has_tokens(argv, {"server.js"}));
  CHECK(has_tokens(argv, {"node", "--port=1"}));
  CHECK(has_tokens(argv, {""}));
  CHECK(!has_tokens(argv, {"server"}));
  CHECK(!has_tokens(argv, {"--port"}));
  CHECK(!has_tokens(argv, {"node", "absent"}));
  CHECK(!has_tokens(argv, {std::string("node\0server.js", 14)}));
}

TEST("filter", "the last argument may lack its NUL") {
  const std::string argv = entries({"a", "b"});
  CHECK(has_tokens(std::string_view(argv).substr(0, argv.size() - 1), {"b"}));
  CHECK(!has_tokens("", {"a"}));
}

TEST("filter", "a sequence must follow without gaps, anywhere") {
  const std::string argv = entries({"python3", "-m", "-m", "uvicorn", "app"});
  CHECK(has_sequence(argv, {"-m", "uvicorn"}));
  CHECK(has_sequence(argv, {"python3", "-m"}));
  CHECK(has_sequence(argv, {"app"}));
  CHECK(!has_sequence(argv, {"python3", "uvicorn"}));
  CHECK(!has_sequence(argv, {"app", ""}));
  CHECK(!has_sequence(argv, {"uvicorn", "app", "more"}));
}

TEST("filter", "a variable is found by key or by key and value, never by a part of either") {
  const std::string env = entries({"PATH=/bin", "MARK=1", "EMPTY=", "no value"});
  CHECK(has_variable(env, "MARK"));
  CHECK(has_variable(env, "MARK=1"));
  CHECK(has_variable(env, "EMPTY"));
  CHECK(has_variable(env, "EMPTY="));
  CHECK(!has_variable(env, "MAR"));
  CHECK(!has_variable(env, "MARK=11"));
  CHECK(!has_variable(env, "ARK"));
  CHECK(!has_variable(env, "MARK="));
}

TEST("filter", "of equal keys the first one counts, as for getenv") {
  const std::string env = entries({"A=1", "A=2"});
  CHECK(has_variable(env, "A=1"));
  CHECK(!has_variable(env, "A=2"));
}

TEST("filter", "an executable is matched by name, by whole path or by its last components") {
  CHECK(matches_exe("/usr/bin/node", {"node"}));
  CHECK(matches_exe("/usr/bin/node", {"bin/node"}));
  CHECK(matches_exe("/usr/bin/node", {"/usr/bin/node"}));
  CHECK(matches_exe("/usr/bin/node", {"absent", "node"}));
  CHECK(!matches_exe("/usr/bin/node", {"ode"}));
  CHECK(!matches_exe("/usr/bin/node", {"in/node"}));
  CHECK(!matches_exe("/usr/bin/node", {"/bin/node"}));
  CHECK(!matches_exe("/usr/bin/node", {""}));
  CHECK(!matches_exe("", {"node"}));
}
