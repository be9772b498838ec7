#include "trainer/cli/program.h"

#include <filesystem>
#include <regex>

#include "comm/base/text.h"

namespace lockstep {
namespace {

std::string& name() {
  static std::string name = "lockstep";
  return name;
}

}  // namespace

void set_program_name(const std::string& path) {
  const std::string file = std::filesystem::path(path).filename().string();
  if (!file.empty()) name() = printable(file);
}

const std::string& program_name() {
  return name();
}

std::string as_typed(const std::string& lines) {
  static const std::regex ours(R"((^|\s)lockstep )");
  std::string escaped;
  for (const char c : name()) escaped += c == '$' ? std::string("$$") : std::string(1, c);
  return std::regex_replace(lines, ours, "$1" + escaped + " ");
}

}  // namespace lockstep
