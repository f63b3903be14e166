/** Quantities in the form in which the API gives them back, so that a refresh shows no difference. */

/** 0.5 gives `500m`, 2 gives `2`. */
export function cores(count: number): string {
  const milli = Math.round(count * 1000);
  return milli % 1000 === 0 ? `${milli / 1000}` : `${milli}m`;
}

/** 512 gives `512Mi`, 2048 gives `2Gi`. */
export function mebibytes(count: number): string {
  const whole = Math.ceil(count);
  return whole % 1024 === 0 ? `${whole / 1024}Gi` : `${whole}Mi`;
}
