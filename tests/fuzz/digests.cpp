// digests.jsonl; what stands before the first empty line is one run, the rest another.
#include "trainer/loop/digests.h"

#include "comm/base/error.h"
#include "tests/fuzz/fuzz.h"

using namespace lockstep;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = fuzz::text_of(data, size);
  const std::size_t cut = std::min(text.find("\n\n"), text.size());
  try {
    const auto one = parse_digests(text.substr(0, cut) + "\n", "a");
    fuzz::require(one.empty() || !compare_digests(one, one).differ, "a run does not differ from itself");
    const auto other = parse_digests(text.substr(std::min(cut + 2, text.size())), "b");
    const Comparison result = compare_digests(one, other);
    fuzz::require(result.differ == !result.differing.empty(), "runs differ in some tensor");
    fuzz::require(result.differ == compare_digests(other, one).differ, "either run differs from the other");
  } catch (const DataError&) {
  }
  return 0;
}
