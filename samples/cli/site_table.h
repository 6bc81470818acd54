#pragma once
// The calibration report as a table: what each step did to each kind of site, in dB, averaged over the layers.

#include "calibrate/report.h"
#include "cli/terminal.h"

namespace vulcat::cli {

/// A row a kind of site (self_attn.qkv, ...), cells "before > after".
Table siteTable(const calibrate::Report& report);

/// A row a site.
Table everySiteTable(const calibrate::Report& report);

}  // namespace vulcat::cli
