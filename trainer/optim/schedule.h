#pragma once

#include <cstdint>

#include "trainer/config/schema.h"

namespace lockstep {

// How many steps the whole run takes.
std::int64_t total_steps(const ScheduleConfig& schedule, std::int64_t steps_per_epoch);

// The learning rate of step `step`, 0 ≤ step < total_steps: linear warm-up to base_lr over warmup_epochs
// (rounded to whole steps), then the decay. A pure function. With w steps of warm-up and n in all:
//   warm-up   base·(step + 1)/w, so its last step has base_lr; longer than the run is allowed, it never ends
//   cosine    base·(1 + cos(π·(step − w)/(n − w)))/2        linear    base·(1 − (step − w)/(n − w))
//   step      base·factor^⌊step/period⌋, the period being step_epochs in steps, counted from the run's start
double learning_rate(const ScheduleConfig& schedule, double base_lr, std::int64_t steps_per_epoch,
                     std::int64_t step);

// Whether a run under `before` may go on under `after`, which has more epochs: the schedule so far must stay
// the same. Equal schedules may; longer ones only with decay constant or step, counted in the same unit.
bool extends(const ScheduleConfig& before, const ScheduleConfig& after);

}  // namespace lockstep
