#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "layers/nn/parameter.h"

// Digests of tensors over the steps of a run, digests.jsonl: what `lockstep compare` reads to find the first
// step and tensor where two runs part.
namespace lockstep {

// A tensor's name and the digest of its bytes, 16 hexadecimal digits.
using Digest = std::pair<std::string, std::string>;

std::string digest(std::span<const std::byte> bytes);

// {"step": 7, "tensors": {"conv1.weight": "90ab…", …}}, in the order given.
std::string digest_line(std::int64_t step, const std::vector<ModelTensor>& tensors);

// A run's digests by step, from a run directory or a digests.jsonl, or from its text. A last line that was
// not written to its end is skipped. Throws DataError naming file and line.
std::map<std::int64_t, std::vector<Digest>> read_digests(const std::filesystem::path& run);
std::map<std::int64_t, std::vector<Digest>> parse_digests(std::string_view text, const std::string& name);

struct Comparison {
  std::int64_t steps = 0;  // compared, up to and including the first that differs
  std::int64_t first = 0, last = 0;
  bool differ = false;
  std::int64_t step = 0;               // where they differ
  std::vector<std::string> differing;  // its tensors, in the order of the first run
  std::size_t tensors = 0;             // of that step
};
// Steps that only one of them has are skipped. Throws DataError where they have none in common.
Comparison compare_digests(const std::map<std::int64_t, std::vector<Digest>>& a,
                           const std::map<std::int64_t, std::vector<Digest>>& b);

}  // namespace lockstep
