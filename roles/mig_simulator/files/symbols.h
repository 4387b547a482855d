/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The symbols that the simulated driver's library has. */
#ifndef SYMBOLS_H
#define SYMBOLS_H

/* Let dlsym find the functions of this driver branch and no newer ones. */
void symbols_show(unsigned branch);

#endif
