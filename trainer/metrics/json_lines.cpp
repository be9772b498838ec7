#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>
#include <utility>

#include "trainer/checkpoint/atomic_file.h"
#include "trainer/metrics/metrics.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string read_text(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  // An empty file would count as a failed copy.
  if (stream.is_open() && stream.peek() != std::ifstream::traits_type::eof()) text << stream.rdbuf();
  if (!stream.is_open() || stream.bad() || text.fail()) throw_system_error(file, "cannot be read");
  return std::move(text).str();
}

// Whole, and not of a step that will be done again. A line that tells no step stays.
bool stays(const std::string& line, std::int64_t keep_until) {
  const auto object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return false;
  const auto step = object.find("step");
  return step == object.end() || !step->is_number_integer() || step->get<std::int64_t>() <= keep_until;
}

void drop_lines(const fs::path& file, std::int64_t keep_until) {
  const std::string before = read_text(file);
  std::istringstream lines(before);
  std::string after;
  for (std::string line; std::getline(lines, line);) {
    if (stays(line, keep_until)) after += line + '\n';
  }
  if (after == before) return;
  AtomicFile output(file);
  output.write(after);
  output.commit();
}

GrowingFile opened(const fs::path& file, std::int64_t keep_until) {
  std::error_code error;
  if (fs::is_regular_file(file, error)) drop_lines(file, keep_until);
  return GrowingFile(file);
}

}  // namespace

JsonLines::JsonLines(const fs::path& file, std::int64_t keep_until) : file_(opened(file, keep_until)) {}

std::string JsonLines::text() const {
  std::error_code error;
  return fs::is_regular_file(file_.path(), error) ? read_text(file_.path()) : "";
}

bool JsonLines::holds(std::int64_t step, const std::string& key) const {
  std::istringstream lines(text());
  for (std::string line; std::getline(lines, line);) {
    const auto object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (object.is_object() && object.contains(key) && object.contains("step") && object["step"] == step) {
      return true;
    }
  }
  return false;
}

}  // namespace lockstep
