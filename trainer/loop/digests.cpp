#include "trainer/loop/digests.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <system_error>

#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "trainer/checkpoint/strict_json.h"
#include "trainer/checkpoint/whole_file.h"

namespace lockstep {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// Tensors of a step that are not the same in both, or only in one.
std::vector<std::string> differing_tensors(const std::vector<Digest>& a, const std::vector<Digest>& b) {
  const std::map<std::string, std::string> other(b.begin(), b.end());
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const auto& [name, value] : a) {
    seen.insert(name);
    const auto found = other.find(name);
    if (found == other.end() || found->second != value) names.push_back(name);
  }
  for (const auto& [name, value] : b) {
    if (!seen.contains(name)) names.push_back(name);
  }
  return names;
}

// Nothing where the line is none of ours.
std::optional<std::pair<std::int64_t, std::vector<Digest>>> parse_line(std::string_view text) {
  constexpr std::size_t deepest = 2;  // the line, its tensors
  std::vector<std::string> names;     // in the line's order, which an object does not keep
  json line;
  try {
    line = parse_strictly(text, deepest, [&](std::size_t depth, const std::string& key) {
      if (depth == deepest) names.push_back(key);
    });
  } catch (const JsonError&) {
    return std::nullopt;
  }
  if (!line.is_object() || line.size() != 2 || !line.contains("step") || !line.contains("tensors")) {
    return std::nullopt;
  }
  if (!line["step"].is_number_unsigned() || !line["tensors"].is_object()) return std::nullopt;
  const auto step = line["step"].get<std::int64_t>();
  if (step < 0) return std::nullopt;  // beyond the largest
  const json& tensors = line["tensors"];
  std::vector<Digest> digests;
  for (const std::string& name : names) {
    const json& value = tensors[name];
    if (!value.is_string()) return std::nullopt;
    digests.emplace_back(name, value.get<std::string>());
  }
  return std::pair(step, std::move(digests));
}

}  // namespace

std::string digest(std::span<const std::byte> bytes) {
  return fmt::format("{:016x}", hash64(bytes));
}

std::string digest_line(std::int64_t step, const std::vector<ModelTensor>& tensors) {
  ordered_json digests;
  for (const ModelTensor& tensor : tensors) digests[tensor.name] = digest(tensor.bytes);
  return ordered_json{{"step", step}, {"tensors", digests}}.dump();
}

std::map<std::int64_t, std::vector<Digest>> read_digests(const std::filesystem::path& run) {
  std::error_code error;
  const auto file = std::filesystem::is_directory(run, error) ? run / "digests.jsonl" : run;
  if (!std::filesystem::exists(file, error)) {
    throw DataError(
        fmt::format("{} is not there; runs write it where train.digest_every is at least 1", file.string()));
  }
  return parse_digests(read_whole_file(file).text(), file.string());
}

std::map<std::int64_t, std::vector<Digest>> parse_digests(std::string_view text, const std::string& name) {
  std::map<std::int64_t, std::vector<Digest>> digests;
  // A line without its end is left: the run is writing it, or was killed while it did.
  for (std::size_t number = 1, end = 0; (end = text.find('\n')) != std::string_view::npos; ++number) {
    const auto line = parse_line(text.substr(0, end));
    text.remove_prefix(end + 1);
    if (!line) {
      throw DataError(fmt::format(
          R"({}:{}: not a line of digests, which is {{"step": number, "tensors": {{name: digest}}}})", name,
          number));
    }
    if (!digests.insert(*line).second) {
      throw DataError(fmt::format("{}:{}: step {} was there already", name, number, line->first));
    }
  }
  return digests;
}

Comparison compare_digests(const std::map<std::int64_t, std::vector<Digest>>& a,
                           const std::map<std::int64_t, std::vector<Digest>>& b) {
  Comparison result;
  for (const auto& [step, tensors] : a) {
    const auto other = b.find(step);
    if (other == b.end()) continue;
    if (result.steps++ == 0) result.first = step;
    result.last = step;
    result.differing = differing_tensors(tensors, other->second);
    if (result.differing.empty()) continue;
    result.differ = true;
    result.step = step;
    result.tensors = tensors.size();
    return result;
  }
  if (result.steps == 0) throw DataError("the runs have no step in common of which both kept digests");
  return result;
}

}  // namespace lockstep
