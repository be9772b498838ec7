// Metadata of a checkpoint: a line of input for each key.
#include <array>

#include "comm/base/error.h"
#include "tests/fuzz/fuzz.h"
#include "trainer/loop/checkpoint.h"

using namespace lockstep;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array keys{"format_version",  "input_shape",  "classes",       "input_mean",
                            "input_deviation", "class_names",  "train_samples", "step",
                            "epoch",           "train_digest", "init_digest"};
  const std::vector<std::string> lines = fuzz::lines_of(fuzz::text_of(data, size));
  Metadata metadata;
  for (std::size_t i = 0; i < std::min(keys.size(), lines.size()); ++i) metadata[keys[i]] = lines[i];
  try {
    const Facts facts = read_facts(metadata, "a");
    const Facts again = read_facts(describe(Config{}, facts), "b");
    fuzz::require(again.input.shape == facts.input.shape && again.class_names == facts.class_names &&
                      again.normalization.mean == facts.normalization.mean && again.step == facts.step &&
                      again.init_digest == facts.init_digest,
                  "facts survive being described");
    fuzz::require(facts.input.shape.elements() > 0, "an image has values");
  } catch (const DataError&) {
  }
  return 0;
}
