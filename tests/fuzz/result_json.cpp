// The configuration in a checkpoint's metadata.
#include "comm/base/error.h"
#include "tests/fuzz/fuzz.h"
#include "trainer/config/config.h"

using namespace lockstep;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string text = fuzz::text_of(data, size);
    const std::string canonical = result_json(from_result_json(text));
    fuzz::require(result_json(from_result_json(canonical)) == canonical,
                  "a configuration survives being saved");
    fuzz::require(differences(text, canonical).empty(), "nothing differs from itself");
  } catch (const DataError&) {
  }
  return 0;
}
