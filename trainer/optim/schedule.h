#pragma once

#include <cstdint>

#include "trainer/config/schema.h"

namespace lockstep {

// How many steps the whole run takes.
std::int64_t total_steps(const ScheduleConfig& schedule, std::int64_t steps_per_epoch);

// The learning rate of step `step` (from 0): linear warm-up to base_lr over warmup_epochs, then the decay
// over what is left. A pure function. A warm-up longer than the run is allowed: it never ends.
double learning_rate(const ScheduleConfig& schedule, double base_lr, std::int64_t steps_per_epoch,
                     std::int64_t step);

// Whether a run under `before` may go on under `after`, which has more epochs: the schedule so far must stay
// the same.
bool extends(const ScheduleConfig& before, const ScheduleConfig& after);

}  // namespace lockstep
