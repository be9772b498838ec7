// The name of a checkpoint, as checkpoints/latest has it.
#include "tests/fuzz/fuzz.h"
#include "trainer/checkpoint/run_directory.h"

using namespace lockstep;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string name = fuzz::text_of(data, size);
  const auto step = step_of_checkpoint(name);
  if (!step) return 0;
  fuzz::require(*step >= 0, "a step is at least 0");
  fuzz::require(name.find('/') == std::string::npos && name.size() < 64, "a checkpoint lies in its folder");
  return 0;
}
