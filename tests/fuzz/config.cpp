#include "trainer/config/config.h"

#include "comm/base/error.h"
#include "tests/fuzz/fuzz.h"

using namespace lockstep;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const Config config = parse_config(fuzz::text_of(data, size), "a.yaml", {});
    const Config again = parse_config(to_yaml(config), "b.yaml", {});
    fuzz::require(to_yaml(again) == to_yaml(config), "a configuration survives being written");
  } catch (const UsageError&) {
  }
  return 0;
}
