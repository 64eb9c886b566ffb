/** A component that is drawn again only when something it is given is another thing. */
import { Component, type FunctionComponent } from 'preact';

export function memo<P extends object>(draw: (props: P) => ReturnType<FunctionComponent<P>>): FunctionComponent<P> {
  class Kept extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const names = Object.keys(next) as (keyof P)[];
      return names.some((name) => next[name] !== this.props[name]);
    }
    override render() {
      return draw(this.props as P);
    }
  }
  return Kept as unknown as FunctionComponent<P>;
}
