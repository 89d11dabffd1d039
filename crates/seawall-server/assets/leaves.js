// Documents and the paths in them, written as the server writes them: `upstreams.chat.endpoints[1]`.

const PLAIN = /^[A-Za-z0-9_-]{1,60}$/;
const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

/** Every value with its path: no mapping and no list, unless it is empty. */
export function leaves(value, path = '') {
  if (Array.isArray(value) && value.length > 0) {
    return value.flatMap((item, n) => leaves(item, `${path}[${n}]`));
  }
  if (isObject(value) && Object.keys(value).length > 0) {
    return Object.entries(value).flatMap(([key, field]) => leaves(field, below(path, key)));
  }
  return [[path, value]];
}

function below(path, key) {
  if (!PLAIN.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path ? `${path}.${key}` : key;
}

/** What stands at these keys; undefined where nothing does. */
export function at(document, keys) {
  return keys.reduce((value, key) => (isObject(value) ? value[key] : undefined), document);
}

/** A copy with `value` at these keys; undefined takes the field away, and sections that are empty then. */
export function having(document, [key, ...rest], value) {
  const copy = isObject(document) ? { ...document } : {};
  const inner = rest.length > 0 ? having(copy[key], rest, value) : value;
  const hollow = rest.length > 0 && Object.keys(inner).length === 0;
  if (inner === undefined || hollow) delete copy[key];
  else copy[key] = inner;
  return copy;
}
