#include "trainer/loop/digests.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "comm/base/error.h"
#include "comm/base/hash.h"

namespace lockstep {
namespace {

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
  const auto file = std::filesystem::is_directory(run) ? run / "digests.jsonl" : run;
  std::ifstream stream(file);
  if (!stream) {
    throw DataError(fmt::format("{} cannot be read; runs write it where train.digest_every is at least 1",
                                file.string()));
  }
  std::map<std::int64_t, std::vector<Digest>> digests;
  std::string line;
  for (int number = 1; std::getline(stream, line); ++number) {
    if (stream.eof()) break;  // a line without its end: the run is writing it, or was killed while it did
    try {
      const auto record = ordered_json::parse(line);
      auto& tensors = digests[record.at("step").get<std::int64_t>()];
      for (const auto& [name, value] : record.at("tensors").items()) {
        tensors.emplace_back(name, value.get<std::string>());
      }
    } catch (const ordered_json::exception&) {
      throw DataError(fmt::format(
          R"({}:{}: not a line of digests, which is {{"step": number, "tensors": {{name: digest}}}})",
          file.string(), number));
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
