#pragma once

#include <string>

namespace lockstep {

// A table of a run for a terminal, from its metrics.jsonl: a row for each evaluation, with what the lines
// since the one before tell of training (means, the last learning rate), and what was best. Of many
// evaluations the last ones. Empty where there is nothing to tell.
std::string summary_table(const std::string& metrics);

}  // namespace lockstep
